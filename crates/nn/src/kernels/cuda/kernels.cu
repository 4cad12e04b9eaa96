// What SpeechLens computes on NVIDIA devices itself. Images lie as [N, H, W, C].

// How windows lie on images: as `Windows` in launch.rs.
struct Windows {
    I height, width, channels;
    I kernel_height, kernel_width;
    I stride_height, stride_width;
    I padding_height, padding_width;
    I dilation_height, dilation_width;
    I out_height, out_width;
};

// The values of every window behind each other: images to [N, H', W', kh, kw, C], with 0 where a window lies outside.
extern "C" __global__ void columns(const T* images, T* columns, const Windows w, const I count) {
    for EACH(i) {
        I rest = i;
        const I c = rest % w.channels; rest /= w.channels;
        const I s = rest % w.kernel_width; rest /= w.kernel_width;
        const I r = rest % w.kernel_height; rest /= w.kernel_height;
        const I x = rest % w.out_width; rest /= w.out_width;
        const I y = rest % w.out_height; rest /= w.out_height;
        // Outside on the near side these wrap around, to numbers larger than any image.
        const I h = y * w.stride_height + r * w.dilation_height - w.padding_height;
        const I v = x * w.stride_width + s * w.dilation_width - w.padding_width;
        const bool inside = h < w.height && v < w.width;
        columns[i] = inside ? images[((rest * w.height + h) * w.width + v) * w.channels + c] : T(0);
    }
}

// The transposed map of `columns`: every pixel sums what windows hold of it.
extern "C" __global__ void images(const T* columns, T* images, const Windows w, const I count) {
    for EACH(i) {
        I rest = i;
        const I c = rest % w.channels; rest /= w.channels;
        const I v = rest % w.width; rest /= w.width;
        const I h = rest % w.height; rest /= w.height;
        T sum = T(0);
        for (I r = 0; r < w.kernel_height; r++) {
            const I top = h + w.padding_height - r * w.dilation_height;
            const I y = top / w.stride_height;
            if (top % w.stride_height != 0 || y >= w.out_height) continue;
            for (I s = 0; s < w.kernel_width; s++) {
                const I left = v + w.padding_width - s * w.dilation_width;
                const I x = left / w.stride_width;
                if (left % w.stride_width != 0 || x >= w.out_width) continue;
                const I window = (rest * w.out_height + y) * w.out_width + x;
                sum += columns[((window * w.kernel_height + r) * w.kernel_width + s) * w.channels + c];
            }
        }
        images[i] = sum;
    }
}

// The place of a window's largest value in the image of channel c, the first in scan order on a tie.
__device__ I winner(const T* image, const Windows w, const I y, const I x, const I c) {
    I best = ~I(0);
    T most = T(0);
    for (I r = 0; r < w.kernel_height; r++) {
        const I h = y * w.stride_height + r - w.padding_height;
        if (h >= w.height) continue;
        for (I s = 0; s < w.kernel_width; s++) {
            const I v = x * w.stride_width + s - w.padding_width;
            if (v >= w.width) continue;
            const I at = (h * w.width + v) * w.channels + c;
            if (best == ~I(0) || image[at] > most) {
                best = at;
                most = image[at];
            }
        }
    }
    return best;
}

// The largest value of every window: images to [N, H', W', C].
extern "C" __global__ void max_pool(const T* images, T* output, const Windows w, const I count) {
    for EACH(i) {
        I rest = i;
        const I c = rest % w.channels; rest /= w.channels;
        const I x = rest % w.out_width; rest /= w.out_width;
        const I y = rest % w.out_height; rest /= w.out_height;
        const T* image = images + rest * w.height * w.width * w.channels;
        output[i] = image[winner(image, w, y, x, c)];
    }
}

// Every pixel sums the outputs of the windows whose largest value it is: [N, H', W', C] to images.
extern "C" __global__ void max_pool_route(
    const T* images, const T* output, T* routed, const Windows w, const I count
) {
    for EACH(i) {
        I rest = i;
        const I c = rest % w.channels; rest /= w.channels;
        const I v = rest % w.width; rest /= w.width;
        const I h = rest % w.height; rest /= w.height;
        const T* image = images + rest * w.height * w.width * w.channels;
        const I own = (h * w.width + v) * w.channels + c;
        // The windows that hold the pixel: y·stride ≤ h + padding < y·stride + kernel.
        const I low = h + w.padding_height, right = v + w.padding_width;
        const I top = low < w.kernel_height ? 0 : (low - w.kernel_height) / w.stride_height + 1;
        const I left = right < w.kernel_width ? 0 : (right - w.kernel_width) / w.stride_width + 1;
        T sum = T(0);
        for (I y = top; y < w.out_height && y * w.stride_height <= low; y++)
            for (I x = left; x < w.out_width && x * w.stride_width <= right; x++)
                if (winner(image, w, y, x, c) == own)
                    sum += output[((rest * w.out_height + y) * w.out_width + x) * w.channels + c];
        routed[i] = sum;
    }
}

// The two last axes of [outer, a, b] change places.
extern "C" __global__ void swapped(const T* input, T* output, const I a, const I b, const I count) {
    for EACH(i) {
        const I row = i / a, outer = row / b;
        output[i] = input[(outer * a + i % a) * b + row % b];
    }
}

// A number for each channel is added to [rows, channels] in place, and negative values are set to 0 if `relu` is not 0.
extern "C" __global__ void epilogue(T* values, const T* bias, const I channels, const I relu, const I count) {
    for EACH(i) {
        const T value = values[i] + bias[i % channels];
        values[i] = relu != 0 && value <= T(0) ? T(0) : value;
    }
}

// What `row_sums` gave of every part, summed in their order, times a factor.
extern "C" __global__ void total(const double* sums, T* totals, const I parts, const double factor, const I count) {
    for EACH(i) {
        double sum = 0;
        for (I part = 0; part < parts; part++) sum += sums[part * count + i];
        totals[i] = T(sum * factor);
    }
}

// Sorting networks (Batcher 1968): keys that say how large a value is and, below that, where it stands, so that no two are equal.
typedef unsigned long long K;

// Values [rows, length] to keys [rows, padded], to be sorted from the smallest: the largest value first if `falling` is not 0,
// on a tie the earlier place; what is added to fill a row goes last.
extern "C" __global__ void keys(
    const float* values, K* keys, const I length, const I padded, const I falling, const I count
) {
    for EACH(i) {
        const I place = i % padded;
        if (place >= length) {
            keys[i] = ~K(0);
            continue;
        }
        // Adding 0 makes −0 the tie with 0 that it is.
        union { float value; I bits; } number;
        number.value = values[i / padded * length + place] + 0.0f;
        const I rising = number.bits >> 31 ? ~number.bits : number.bits | 0x80000000u;
        keys[i] = K(falling ? ~rising : rising) << 32 | place;
    }
}

// One step of the network: keys at a distance of `step` are put in order, which turns with every `run` keys.
extern "C" __global__ void sorted(K* keys, const I run, const I step, const I padded, const I count) {
    for EACH(i) {
        const I other = i ^ step;
        if (other <= i) continue;
        const K a = keys[i], b = keys[other];
        if ((a > b) == ((i % padded & run) == 0)) {
            keys[i] = b;
            keys[other] = a;
        }
    }
}

// The rank of every place: sorted keys [rows, padded] to [rows, length].
extern "C" __global__ void ranks(const K* keys, float* ranks, const I length, const I padded, const I count) {
    for EACH(i) {
        const I row = i / length, rank = i % length;
        ranks[row * length + I(keys[row * padded + rank] & 0xffffffffu)] = float(rank);
    }
}

// A stream of random numbers, as `Stream` in mod.rs.
struct Stream {
    I key[8];
    I number[2];
};

__device__ void quarter_round(I& a, I& b, I& c, I& d) {
    a += b; d ^= a; d = d << 16 | d >> 16;
    c += d; b ^= c; b = b << 12 | b >> 20;
    a += b; d ^= a; d = d << 8 | d >> 24;
    c += d; b ^= c; b = b << 7 | b >> 25;
}

// A block of ChaCha8 (Bernstein 2008).
__device__ void block_of(const Stream stream, const K number, I x[16]) {
    I start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    for (int i = 0; i < 8; i++) start[4 + i] = stream.key[i];
    start[12] = I(number);
    start[13] = I(number >> 32);
    start[14] = stream.number[0];
    start[15] = stream.number[1];
    for (int i = 0; i < 16; i++) x[i] = start[i];
    for (int round = 0; round < 8; round += 2) {
        for (int i = 0; i < 4; i++) quarter_round(x[i], x[4 + i], x[8 + i], x[12 + i]);
        for (int i = 0; i < 4; i++)
            quarter_round(x[i], x[4 + (i + 1) % 4], x[8 + (i + 2) % 4], x[12 + (i + 3) % 4]);
    }
    for (int i = 0; i < 16; i++) x[i] += start[i];
}

// A mask: 0 where a draw of two words, of which the upper 53 bits count, is below the limit, and else `kept`. `first` is the word of
// the first draw.
extern "C" __global__ void dropout(
    T* mask, const Stream stream, const K first, const K limit, const T kept, const I count
) {
    for EACH(i) {
        const K word = first + 2 * K(i);
        I words[16];
        block_of(stream, word / 16, words);
        const K low = words[word % 16];
        if (word % 16 == 15) block_of(stream, word / 16 + 1, words);
        const K draw = K(words[(word + 1) % 16]) << 32 | low;
        mask[i] = draw >> 11 < limit ? T(0) : kept;
    }
}
