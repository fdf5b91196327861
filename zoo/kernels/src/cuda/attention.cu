// Products of small matrices, one pair a head of an image: attention without a softmax is two of them, forward.

// Matrices that lie `each` values apart: value (i, j) of number h is value h * each + i * row + j * column.
struct Matrix {
    const void* at;
    u64 plane, each, row, column;
    int kind;  // see value_at
};

static_assert(sizeof(Matrix) == 6 * 8, "the host fills this");

__device__ __forceinline__ real entry(Matrix x, u64 h, u64 i, u64 j) {
    return value_at(x.at, x.kind, x.plane, h * x.each + i * x.row + j * x.column);
}

// A block computes TILE x TILE values, DEPTH products at a time; a thread 4 x 4 of them.
#define TILE 64
#define DEPTH 16
#define SIDE 16

// out[h] = factor * (a[h] * b[h]), a [m, k], b [k, n], out [m, n]; sums in the order of k. `tiles` is that of one h.
extern "C" __global__ void product(Matrix a, Matrix b, real factor, void* out, int out_wide, u64 m, u64 n, u64 k, u64 tiles) {
    __shared__ real left[DEPTH][TILE + 1], right[DEPTH][TILE + 1];
    u64 across = (n + TILE - 1) / TILE, h = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    u64 top = tile / across * TILE, side = tile % across * TILE;
    u32 x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    real sum[4][4];
    for (int r = 0; r < 4; ++r)
        for (int c = 0; c < 4; ++c) sum[r][c] = 0;
    for (u64 from = 0; from < k; from += DEPTH) {
        for (u32 at = threadIdx.x; at < DEPTH * TILE; at += THREADS) {
            // Threads side by side read values side by side.
            u32 p = a.column == 1 ? at % DEPTH : at / TILE, i = a.column == 1 ? at / DEPTH : at % TILE;
            if (from + p < k && top + i < m) left[p][i] = entry(a, h, top + i, from + p);
            u32 q = b.column == 1 ? at / TILE : at % DEPTH, j = b.column == 1 ? at % TILE : at / DEPTH;
            if (from + q < k && side + j < n) right[q][j] = entry(b, h, from + q, side + j);
        }
        __syncthreads();
        u64 depth = k - from < DEPTH ? k - from : DEPTH;
        for (u64 p = 0; p < depth; ++p)
            for (int r = 0; r < 4; ++r)
                for (int c = 0; c < 4; ++c) sum[r][c] += left[p][y + SIDE * r] * right[p][x + SIDE * c];
        __syncthreads();
    }
    for (int r = 0; r < 4; ++r)
        for (int c = 0; c < 4; ++c) {
            u64 i = top + y + SIDE * r, j = side + x + SIDE * c;
            if (i < m && j < n) put(out, out_wide, h * m * n + i * n + j, sum[r][c] * factor);
        }
}
