// The kernel's name, the number of its outputs and its numbers are arguments; its inputs come by standard input, each behind its
// length, and its outputs go to standard output.
static std::vector<T> read() {
    unsigned long long length = 0;
    if (fread(&length, sizeof length, 1, stdin) != 1) length = 0;
    std::vector<T> values(length);
    if (fread(values.data(), sizeof(T), length, stdin) != length) exit(3);
    return values;
}

int main(int argc, char** argv) {
    const std::string name = argv[1];
    const I count = I(atoll(argv[2]));
    std::vector<I> n;
    for (int i = 3; i < argc; i++) n.push_back(I(atoll(argv[i])));
    n.resize(13);
    const Windows w = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12]};
    std::vector<T> as = read(), bs = read(), cs = read(), output(count, T(-777));
    const T *a = as.data(), *b = bs.data();
    T* out = output.data();
    if (name == "columns") RUN(columns(a, out, w, count))
    else if (name == "images") RUN(images(a, out, w, count))
    else if (name == "max_pool") RUN(max_pool(a, out, w, count))
    else if (name == "max_pool_route") RUN(max_pool_route(a, b, out, w, count))
    else if (name == "swapped") RUN(swapped(a, out, n[0], n[1], count))
    else if (name == "epilogue") {
        output = as;
        RUN(epilogue(output.data(), b, n[0], n[1], count))
    } else if (name == "ranks") {
        const I length = n[0], padded = n[1], falling = n[2], items = count / length * padded;
        std::vector<float> values(as.begin(), as.end()), ranked(count, -777);
        std::vector<K> sorting(items);
        RUN(keys(values.data(), sorting.data(), length, padded, falling, items))
        for (I run = 2; run <= padded; run *= 2)
            for (I step = run / 2; step > 0; step /= 2)
                RUN(sorted(sorting.data(), run, step, padded, items))
        RUN(ranks(sorting.data(), ranked.data(), length, padded, count))
        output.assign(ranked.begin(), ranked.end());
    } else if (name == "dropout") {
        const Stream stream = {{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]}, {n[8], n[9]}};
        RUN(dropout(out, stream, n[12], K(n[11]) << 32 | n[10], a[0], count))
    }
#ifdef EXPRESSION
    const T* c = cs.data();
    std::vector<T> number;
    for (int i = 3; i < argc; i++) number.push_back(T(atof(argv[i])));
    if (name == "pairs") RUN(pairs(a, b, c, out, number[0], number[1], number[2], count))
    else if (name == "in_place") {
        output = as;
        RUN(in_place(output.data(), b, c, number[0], number[1], number[2], count))
    } else if (name == "by_channel") {
        const I channels = I(cs.size() / 3);
        RUN(by_channel(a, b, c, c + channels, c + 2 * channels, out, channels, count))
    } else if (name == "sum_by_channel") {
        const I rows = I(as.size()) / count, part = n[0], parts = (rows + part - 1) / part;
        std::vector<double> numbers(cs.begin(), cs.end()), sums(parts * count, -777);
        RUN(row_sums(a, b, numbers.data(), numbers.data() + count, sums.data(), rows, count, part, parts * count))
        RUN(total(sums.data(), out, parts, 1, count))
    }
#endif
    return fwrite(output.data(), sizeof(T), count, stdout) == count ? 0 : 4;
}
