// Values of one bit. One thread a byte, so that no two threads write one place.

// Whatever is not zero becomes 1; the padding bits of a row's last byte are 0.
extern "C" __global__ void pack(const held* x, u64 rows, u64 plane, u8* out) {
    u64 i = element(), width = (plane + 7) / 8;
    if (i >= rows * width) return;
    u64 row = i / width, first = i % width * 8;
    u32 byte = 0;
    for (u64 k = 0; k < 8 && first + k < plane; ++k) byte |= (u32)(x[row * plane + first + k] != 0) << k;
    out[i] = (u8)byte;
}

// Bits as zeros and ones.
extern "C" __global__ void unpack(const u8* bits, u64 plane, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = (real)bit_at(bits, i, plane);
}

// Keeps the rows whose mask (rows of one value) has a spike.
extern "C" __global__ void row_mask(const u8* x, const u8* mask, u64 width, u8* out, u64 bytes) {
    u64 i = element();
    if (i < bytes) out[i] = mask[i / width] ? x[i] : 0;
}

// Places of each row at which both have a spike. One thread a row.
extern "C" __global__ void row_overlap(const u8* a, const u8* b, u64 width, held* out, u64 rows) {
    u64 row = element();
    if (row >= rows) return;
    u64 ones = 0;
    for (u64 k = 0; k < width; ++k) ones += __popc((u32)(a[row * width + k] & b[row * width + k]));
    out[row] = (real)ones;
}

// Ones of the bytes that each block meets; whole numbers, so any order is exact.
extern "C" __global__ void count_ones(const u8* bytes, double* counts, u64 len) {
    u64 ones = 0;
    for (u64 i = element(); i < len; i += (u64)gridDim.x * blockDim.x) ones += __popc((u32)bytes[i]);
    double sum = sum_of_block((double)ones);
    if (threadIdx.x == 0) counts[blockIdx.x] = sum;
}

// out = dy where the gate's bit is set, else 0; out may be dy
extern "C" __global__ void gate(const held* dy, const u8* open, u64 plane, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = bit_at(open, i, plane) ? dy[i] : (real)0;
}
