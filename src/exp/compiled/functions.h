/* What the kernels of a step call. Every function hands NaN on, and has no branches, so that loops become vectors. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline, unused))

ALWAYS float as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

ALWAYS uint32_t as_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

/* The mode of the CPU's float arithmetic. With FLUSH_SUBNORMALS, results below 1.2e-38 are 0: many x86 CPUs compute with
   subnormal numbers far slower. Nothing may be moved over a change of the mode. */
#if defined(__SSE__)
#define FLUSH_SUBNORMALS (1 << 15)
ALWAYS uint32_t get_float_mode(void) { return __builtin_ia32_stmxcsr(); }
ALWAYS void set_float_mode(uint32_t mode) {
    __asm__ volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(mode);
    __asm__ volatile("" ::: "memory");
}
#else
#define FLUSH_SUBNORMALS 0
ALWAYS uint32_t get_float_mode(void) { return 0; }
ALWAYS void set_float_mode(uint32_t mode) {}
#endif

/* Return the rows with the next numbers of an order, copied to `batch`; without an order, `rows` as they are. */
ALWAYS const void *take_rows(const void *rows, const int64_t *order, int64_t count, int64_t bytes, char *batch) {
    if (!order) return rows;
    for (int64_t i = 0; i < count; i++) memcpy(batch + i * bytes, (const char *)rows + order[i] * bytes, bytes);
    return batch;
}

/* Integer indices into a dimension. */
ALWAYS int64_t nearest_index(int64_t index, int64_t size) { return index < 0 ? 0 : index >= size ? size - 1 : index; }
ALWAYS int is_index(int64_t index, int64_t size) { return (index >= 0) & (index < size); }

ALWAYS float float_maximum(float a, float b) { return ((a > b) | (a != a)) ? a : b; }
ALWAYS int64_t long_maximum(int64_t a, int64_t b) { return a > b ? a : b; }
ALWAYS float f_abs(float x) { return fabsf(x); }
ALWAYS float f_sqrt(float x) { return sqrtf(x); }

/* The polynomials below are minimax fits; the functions are exact to 1 to 3 units in the last place. */

/* Return exp(r) - 1, where x = n log(2) + r with a whole n and |r| <= log(2) / 2. x is between -104 and 89, or NaN. */
ALWAYS float reduced_expm1(float x, int32_t *n) {
    float whole = rintf(x * 1.44269504f);
    whole = whole > -200.0f ? whole : 0.0f; /* no integer for NaN */
    *n = (int32_t)whole;
    float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float p = 1.98458844e-4f;
    p = p * r + 1.39407204e-3f;
    p = p * r + 8.33338958e-3f;
    p = p * r + 4.16663598e-2f;
    p = p * r + 1.66666664e-1f;
    p = p * r + 5.00000004e-1f;
    return p * (r * r) + r;
}

ALWAYS float power_of_2(int32_t n) { return as_float((uint32_t)(n + 127) << 23); }

ALWAYS float f_exp(float x) {
    int32_t n;
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float p = reduced_expm1(x, &n);
    int32_t half = n >> 1; /* the power of 2 may be larger than a float, or smaller */
    return (p + 1.0f) * power_of_2(half) * power_of_2(n - half);
}

ALWAYS float f_expm1(float x) {
    int32_t n;
    float y = x > 60.0f ? 60.0f : x;
    y = y < -60.0f ? -60.0f : y;
    float p = reduced_expm1(y, &n), scale = power_of_2(n);
    float large = f_exp(x), small = p * scale + (scale - 1.0f);
    small = x == 0.0f ? x : small; /* with its sign */
    return x > 60.0f ? large : small;
}

ALWAYS float f_log(float x) {
    int is_tiny = x < 1.17549435e-38f; /* not a normal number */
    int32_t bits = (int32_t)as_bits(is_tiny ? x * 8388608.0f : x);
    int32_t n = (bits - 0x3f3504f3) >> 23;
    float f = as_float((uint32_t)bits - ((uint32_t)n << 23)) - 1.0f; /* sqrt(1/2) - 1 <= f < sqrt(2) - 1 */
    float e = (float)(is_tiny ? n - 23 : n);
    float p = 6.74660132e-2f;
    p = p * f - 1.16756413e-1f;
    p = p * f + 1.18881746e-1f;
    p = p * f - 1.24055914e-1f;
    p = p * f + 1.42195509e-1f;
    p = p * f - 1.66679957e-1f;
    p = p * f + 2.00021187e-1f;
    p = p * f - 2.50000096e-1f;
    p = p * f + 3.33333126e-1f;
    float square = f * f;
    float y = (f + (p * f * square - 0.5f * square - e * 2.12194440e-4f)) + e * 0.693359375f;
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    return x < INFINITY ? y : x;
}

ALWAYS float f_log1p(float x) {
    float u = 1.0f + x, d = u - 1.0f;
    float y = f_log(u) * (x / d);
    y = d == 0.0f ? x : y;
    return u < INFINITY ? y : u;
}

ALWAYS float f_sigmoid(float x) { return 1.0f / (1.0f + f_exp(-x)); }

ALWAYS float f_tanh(float x) {
    float a = fabsf(x);
    a = a > 10.0f ? 10.0f : a;
    float e = f_expm1(2.0f * a);
    return copysignf(e / (e + 2.0f), x);
}

ALWAYS float f_erf(float x) {
    float a = fabsf(x), z = x * x;
    float p = 7.85402633e-5f;
    p = p * z - 8.01024766e-4f;
    p = p * z + 5.18833450e-3f;
    p = p * z - 2.68538161e-2f;
    p = p * z + 1.12835853e-1f;
    p = p * z - 3.76126258e-1f;
    p = p * z + 1.28379166e-1f;
    float t = a > 4.0f ? 4.0f : a;
    float q = 5.29700306e-6f; /* -log(1 - erf(t)) / t */
    q = q * t - 4.99404876e-5f;
    q = q * t - 2.74351333e-5f;
    q = q * t + 2.86912091e-3f;
    q = q * t - 2.25756157e-2f;
    q = q * t + 1.05169495e-1f;
    q = q * t + 6.35673150e-1f;
    q = q * t + 1.12854144f;
    return a < 1.0f ? x + x * p : copysignf(1.0f - f_exp(-t * q), x);
}

/* Return sin(x + quarter * pi / 2); exact to 1e-7 for |x| <= 1e9, and NaN for larger numbers. */
ALWAYS float shifted_sine(float x, float quarter) {
    double turns = rint((double)x * 0.63661977236758134);
    float r = (float)((double)x - turns * 1.5707963267341256 - turns * 6.0771005065061922e-11);
    double place = turns + (double)quarter;
    float of_four = (float)(place - 4.0 * floor(place * 0.25)); /* 0, 1, 2 or 3 */
    float z = r * r;
    float sine = ((-1.98393123e-4f * z + 8.33332930e-3f) * z - 1.66666666e-1f) * z * r + r;
    float cosine = ((-2.72057551e-7f * z + 2.47994602e-5f) * z - 1.38888835e-3f) * z + 4.16666666e-2f;
    cosine = cosine * z * z - 0.5f * z + 1.0f;
    float y = (of_four == 1.0f) | (of_four == 3.0f) ? cosine : sine;
    y = of_four >= 2.0f ? -y : y;
    return fabsf(x) <= 1e9f ? y : NAN;
}

ALWAYS float f_sin(float x) { return shifted_sine(x, 0.0f); }
ALWAYS float f_cos(float x) { return shifted_sine(x, 1.0f); }

/* Matrix products of one thread. A tile of ROWS x WIDTH sums is in the registers; for matrices that are not large this is
   as fast as a BLAS, and faster where the BLAS does not know the CPU. */
#if defined(__AVX512F__)
#define LANES 16
#define ROWS 12
#elif defined(__AVX__)
#define LANES 8
#define ROWS 6
#else
#define LANES 4
#define ROWS 6
#endif
#define WIDTH (2 * LANES)
#define DEPTH 512 /* terms that are added up one after the other: more would cost digits */
typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* Set, or add to, c [rows, columns <= WIDTH] the product of a [rows, k] and b [k, WIDTH]. */
ALWAYS void multiply_tile(const int rows, const int columns, const int k, const int adds, const float *a, int64_t a_row,
                          int64_t a_column, const float *b, int64_t b_row, float *c, int64_t c_row) {
    vector sums[ROWS][2] = {{{0}}};
    for (int p = 0; p < k; p++) {
        const vector b0 = *(const vector *)(b + p * b_row), b1 = *(const vector *)(b + p * b_row + LANES);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const float x = a[i * a_row + p * a_column];
            sums[i][0] += x * b0;
            sums[i][1] += x * b1;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        float *row = c + i * c_row;
        if (columns == WIDTH) {
            if (adds) {
                sums[i][0] += *(vector *)row;
                sums[i][1] += *(vector *)(row + LANES);
            }
            *(vector *)row = sums[i][0];
            *(vector *)(row + LANES) = sums[i][1];
        } else
            for (int j = 0; j < columns; j++) row[j] = sums[i][j / LANES][j % LANES] + (adds ? row[j] : 0.0f);
    }
}

/* Copy b [k, columns <= WIDTH] to contiguous rows of WIDTH numbers, the missing ones 0. */
ALWAYS void pack(const int k, const int columns, const float *restrict b, int64_t b_row, int64_t b_column,
                 float *restrict panel) {
    if (b_column == 1) {
        for (int p = 0; p < k; p++)
            for (int j = 0; j < WIDTH; j++) panel[p * WIDTH + j] = j < columns ? b[p * b_row + j] : 0.0f;
    } else
        for (int j = 0; j < WIDTH; j++)
            for (int p = 0; p < k; p++) panel[p * WIDTH + j] = j < columns ? b[p * b_row + j * b_column] : 0.0f;
}

/* Set c [m, n] to a [m, k] times b [k, n]. A row or column of a and b is so far from the next one. */
ALWAYS void multiply(const int m, const int n, const int k, const float *a, int64_t a_row, int64_t a_column,
                     const float *b, int64_t b_row, int64_t b_column, float *c) {
    const int tiles = (m + ROWS - 1) / ROWS, rows = (m + tiles - 1) / tiles, last = m - rows * (tiles - 1);
    float panel[DEPTH * WIDTH] __attribute__((aligned(64)));
    for (int p = 0; p < k; p += DEPTH) {
        const int depth = k - p < DEPTH ? k - p : DEPTH;
        for (int j = 0; j < n; j += WIDTH) {
            const int columns = n - j < WIDTH ? n - j : WIDTH, is_packed = b_column != 1 || columns < WIDTH;
            const float *part = b + p * b_row + j * b_column, *of_a = a + p * a_column;
            if (is_packed) pack(depth, columns, part, b_row, b_column, panel);
            const float *from = is_packed ? panel : part;
            const int64_t step = is_packed ? WIDTH : b_row;
            for (int i = 0; i < tiles - 1; i++)
                multiply_tile(rows, columns, depth, p > 0, of_a + i * rows * a_row, a_row, a_column, from, step,
                              c + i * rows * n + j, n);
            multiply_tile(last, columns, depth, p > 0, of_a + (m - last) * a_row, a_row, a_column, from, step,
                          c + (m - last) * n + j, n);
        }
    }
}

/* The matrix product of the BLAS, whose matrices are stored by columns. */
typedef void sgemm_function(const char *, const char *, const int *, const int *, const int *, const float *,
                            const float *, const int *, const float *, const int *, const float *, float *,
                            const int *);

/* Set c [m, n] to a [m, k] times b [k, n]; one of both steps of a and of b is 1. */
ALWAYS void multiply_by_blas(sgemm_function *sgemm, int m, int n, int k, const float *a, int a_row, int a_column,
                             const float *b, int b_row, int b_column, float *c) {
    const float one = 1.0f, zero = 0.0f;
    const int a_lead = a_column == 1 ? a_row : a_column, b_lead = b_column == 1 ? b_row : b_column;
    sgemm(b_column == 1 ? "N" : "T", a_column == 1 ? "N" : "T", &n, &m, &k, &one, b, &b_lead, a, &a_lead, &zero, c, &n);
}
