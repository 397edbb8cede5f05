// The adjoint of indexing with an integer array, in which positions repeat.
//
//     gx[p] += the sum of g[j] over all j with index[j] = p
//
// The positions come sorted, `order` says where each came from. The thread at the start of a run of
// equal positions adds up the whole run, in the order in which the entries stood in the index; all
// others have nothing to do. No atomics, so two runs give the same bits.
// Bytes: reads positions, order and g, reads and writes gx where something is added.

template <typename T>
__global__ void add_sorted(T* gx, const i64* positions, const i64* order, const T* g, i64 size) {
    for (i64 i = first_element(); i < size; i += element_step()) {
        i64 position = positions[i];
        if (i > 0 && positions[i - 1] == position) continue;
        Acc<T> sum = gx[position];
        for (i64 j = i; j < size && positions[j] == position; ++j) sum += g[order[j]];
        gx[position] = sum;
    }
}
