// One function of the values of up to three tensors a, b and c at every place, and of the numbers p, q and r: EXPRESSION.
extern "C" __global__ void pairs(
    const T* as, const T* bs, const T* cs, T* output, const T p, const T q, const T r, const I count
) {
    for EACH(i) {
        const T a = as[i], b = bs[i], c = cs[i];
        output[i] = EXPRESSION;
    }
}

// The same with the result in the place of a.
extern "C" __global__ void in_place(
    T* as, const T* bs, const T* cs, const T p, const T q, const T r, const I count
) {
    for EACH(i) {
        const T a = as[i], b = bs[i], c = cs[i];
        as[i] = EXPRESSION;
    }
}

// The same with numbers for every channel, of values [rows, channels].
extern "C" __global__ void by_channel(
    const T* as, const T* bs, const T* ps, const T* qs, const T* rs, T* output, const I channels, const I count
) {
    for EACH(i) {
        const I channel = i % channels;
        const T a = as[i], b = bs[i], c = b, p = ps[channel], q = qs[channel], r = rs[channel];
        output[i] = EXPRESSION;
    }
}

// Its sums over parts of `part` rows of [rows, channels], as [parts, channels], in double; `count` is that of the sums.
extern "C" __global__ void row_sums(
    const T* as, const T* bs, const double* ps, const double* qs, double* sums,
    const I rows, const I channels, const I part, const I count
) {
    for EACH(i) {
        const I channel = i % channels, first = i / channels * part;
        const I past = first + part < rows ? first + part : rows;
        const double p = ps[channel], q = qs[channel], r = q;
        double sum = 0;
        for (I row = first; row < past; row++) {
            const double a = as[row * channels + channel], b = bs[row * channels + channel], c = b;
            sum += EXPRESSION;
        }
        sums[i] = sum;
    }
}
