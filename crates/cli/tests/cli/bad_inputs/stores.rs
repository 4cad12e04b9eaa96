//! Feature stores.

use hdf5::types::VarLenUnicode;
use ndarray::Array1;

use super::expect;
use crate::support::Folder;
use crate::train::voxceleb;

/// Has the binary compute a store, of what then fills no batch. (This process starts others, which would inherit its locks.)
fn good_store(folder: &Folder, task: &str, data: &[&str], name: &str) {
    let store = [
        "--batch",
        "9999",
        "--store",
        "good",
        "-o",
        "new.safetensors",
    ];
    let message = folder.fail(&[&["train", "--task", task], data, &store].concat());
    assert!(message.contains("do not fill one batch"), "{message}");
    let store = folder.stored("good", name);
    std::fs::rename(store, folder.path("good/store.h5")).unwrap();
}

/// A copy of a good store, changed.
fn store(folder: &Folder, name: &str, change: impl FnOnce(&hdf5::File)) {
    std::fs::copy(folder.path("good/store.h5"), folder.path(name)).unwrap();
    let mut builder = hdf5::FileBuilder::new();
    builder.with_fapl(|access| access.file_locking(false));
    change(&builder.open_rw(folder.path(name)).unwrap());
}

/// Replaces a column by one that claims to have so many values, and has none.
fn claim<T: hdf5::H5Type>(file: &hdf5::File, name: &str, shape: &[usize]) {
    file.unlink(name).unwrap();
    file.new_dataset::<T>().shape(shape).create(name).unwrap();
}

#[test]
fn stores() {
    let folder = Folder::new();
    good_store(
        &folder,
        "gender",
        &["synthetic", "--limit", "24"],
        "synthetic-train",
    );
    let bytes = std::fs::read(folder.path("good/store.h5")).unwrap();
    folder.write("cut.h5", &bytes[..bytes.len() / 2]);
    folder.write("signature.h5", b"\x89HDF\r\n\x1a\n");
    let mut damaged = bytes.clone();
    damaged[8..96].fill(0xa5);
    folder.write("damaged.h5", &damaged);
    hdf5::File::create(folder.path("other.h5")).unwrap();
    let many = 1_000_000_000_000;
    store(&folder, "ids.h5", |file| {
        claim::<VarLenUnicode>(file, "id", &[many])
    });
    store(&folder, "labels.h5", |file| {
        claim::<i8>(file, "label", &[many])
    });
    store(&folder, "rows.h5", |file| {
        for name in ["id", "speaker"] {
            claim::<VarLenUnicode>(file, name, &[many]);
        }
        for name in ["label", "digit"] {
            claim::<i8>(file, name, &[many]);
        }
        for name in ["material_start", "material_count"] {
            claim::<u64>(file, name, &[many]);
        }
        claim::<u32>(file, "offset", &[many]);
        claim::<f32>(file, "material", &[many]);
    });
    store(&folder, "shape.h5", |file| {
        claim::<f32>(file, "material", &[24, 8000])
    });
    store(&folder, "type.h5", |file| {
        claim::<VarLenUnicode>(file, "material", &[1_000_000])
    });
    store(&folder, "column.h5", |file| file.unlink("offset").unwrap());
    let set = |file: &hdf5::File, name: &str, value: u64| {
        let values = Array1::from_elem(24, value);
        file.dataset(name).unwrap().write(&values).unwrap();
    };
    store(&folder, "start.h5", |file| {
        set(file, "material_start", u64::MAX)
    });
    store(&folder, "count.h5", |file| {
        set(file, "material_count", u64::MAX)
    });
    store(&folder, "long.h5", |file| set(file, "material_count", 8001));
    store(&folder, "sex.h5", |file| {
        file.dataset("label")
            .unwrap()
            .write(&Array1::from_elem(24, 7i8))
            .unwrap();
    });
    store(&folder, "reason.h5", |file| {
        let text = ["of no use".parse::<VarLenUnicode>().unwrap()];
        for name in ["left_out_id", "left_out_reason", "left_out_message"] {
            file.unlink(name).unwrap();
            let builder = file.new_dataset_builder();
            builder.with_data(&text).create(name).unwrap();
        }
    });
    store(&folder, "nan.h5", |file| {
        let sound = file.dataset("material").unwrap();
        let values = Array1::from_elem(sound.size(), f32::NAN);
        sound.write(&values).unwrap();
    });
    store(&folder, "frontend.h5", |file| {
        let text = "rate = 8000".parse::<VarLenUnicode>().unwrap();
        file.attr("frontend").unwrap().write_scalar(&text).unwrap();
    });
    let changed = |file: &hdf5::File, bin: u32, value: f32, last: u64| {
        let count = Array1::from_elem(24, 1u64);
        let starts = Array1::from_elem(24, 0u64);
        let data = || file.new_dataset_builder();
        data().with_data(&starts).create("changed_start").unwrap();
        data().with_data(&count).create("changed_count").unwrap();
        data().with_data(&[bin]).create("changed_bin").unwrap();
        data().with_data(&[value]).create("changed_value").unwrap();
        let places = Array1::from_iter((0..23).chain([last]));
        data()
            .with_data(&places)
            .create("window_recording")
            .unwrap();
        data().with_data(&starts).create("window_start").unwrap();
    };
    store(&folder, "bin.h5", |file| changed(file, 227 * 227, -3.0, 23));
    store(&folder, "value.h5", |file| {
        changed(file, 0, f32::INFINITY, 23)
    });
    store(&folder, "window.h5", |file| changed(file, 0, -3.0, 24));
    let anew: &[&str] = &["feature store", "give the recordings"];
    let train = [
        "train",
        "--task",
        "gender",
        "--batch",
        "4",
        "FILE",
        "-o",
        "new.safetensors",
    ];
    expect(
        &folder,
        &train,
        &[
            ("cut.h5", anew),
            ("signature.h5", anew),
            ("damaged.h5", anew),
            ("other.h5", anew),
            ("ids.h5", anew),
            ("labels.h5", anew),
            ("rows.h5", anew),
            ("shape.h5", anew),
            ("type.h5", anew),
            ("column.h5", anew),
            ("sex.h5", anew),
            ("start.h5", anew),
            ("count.h5", anew),
            ("long.h5", anew),
            ("reason.h5", anew),
            ("nan.h5", anew),
            ("frontend.h5", anew),
            ("bin.h5", anew),
            ("value.h5", anew),
            ("window.h5", anew),
        ],
    );
}

#[test]
fn filterbanks() {
    let folder = Folder::new();
    voxceleb(&folder);
    good_store(&folder, "speaker", &["vox"], "voxceleb-filterbanks");
    let set = |file: &hdf5::File, name: &str, value: u64| {
        let values = Array1::from_elem(4, value);
        file.dataset(name).unwrap().write(&values).unwrap();
    };
    store(&folder, "offset.h5", |file| {
        set(file, "material_start", u64::MAX)
    });
    store(&folder, "frames.h5", |file| {
        set(file, "material_count", u64::MAX)
    });
    store(&folder, "bands.h5", |file| {
        claim::<f32>(file, "material", &[1000, 65])
    });
    store(&folder, "many.h5", |file| {
        claim::<u64>(file, "material_start", &[1 << 40])
    });
    store(&folder, "long.h5", |file| {
        claim::<f32>(file, "material", &[1 << 40, 64]);
        set(file, "material_start", 0);
        set(file, "material_count", 1 << 40);
    });
    let train = [
        "train",
        "--task",
        "speaker",
        "FILE",
        "-o",
        "new.safetensors",
    ];
    let anew: &[&str] = &["feature store", "give the recordings"];
    let names = ["offset.h5", "frames.h5", "bands.h5", "many.h5", "long.h5"];
    expect(&folder, &train, &names.map(|name| (name, anew)));
}
