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
