// The last step of a sum in parts: total[i] += parts[0][i] + parts[1][i] + ... (split_k.py).
//
// A thread an element, in a fixed order. Bytes: reads all the parts and the total, writes the total.

template <typename T>
__global__ void sum_parts(const T* parts, T* total, i64 count, i64 size) {
    for (i64 i = first_element(); i < size; i += element_step()) {
        Acc<T> sum = 0;
        for (i64 part = 0; part < count; ++part) sum += parts[part * size + i];
        total[i] = total[i] + sum;
    }
}
