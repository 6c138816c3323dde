# The tables of loops of special.h.
ctypedef double (*double_sum)(
    const double* p, const double* q, Py_ssize_t n, double p_scale, double q_scale) noexcept nogil
ctypedef double (*double_weighted)(
    const double* p, const double* q, const double* weights, Py_ssize_t n, double p_scale, double q_scale
) noexcept nogil
ctypedef int (*double_terms)(const double* p, const double* q, Py_ssize_t n, double* terms) noexcept nogil
ctypedef double (*float_sum)(
    const float* p, const float* q, Py_ssize_t n, double p_scale, double q_scale) noexcept nogil
ctypedef double (*float_weighted)(
    const float* p, const float* q, const double* weights, Py_ssize_t n, double p_scale, double q_scale
) noexcept nogil
ctypedef int (*float_terms)(const float* p, const float* q, Py_ssize_t n, float* terms) noexcept nogil

cdef extern from "special.h":
    enum:
        COLUMNS
        STREAMED
    enum:
        ENTROPY
        CROSS
        KL
        KL_OF_WHOLE
        JS

    ctypedef struct exp_sum:
        double largest
        double count
        double rest
        double low

    ctypedef struct elementwise_double_ops:
        void (*expit)(const double* x, double* out, Py_ssize_t n) noexcept nogil
        void (*log_expit)(const double* x, double* out, Py_ssize_t n) noexcept nogil
        void (*logit)(const double* x, double* out, Py_ssize_t n) noexcept nogil
        void (*entr)(const double* x, double* out, Py_ssize_t n) noexcept nogil
        void (*xlogy)(const double* x, const double* y, double* out, Py_ssize_t n) noexcept nogil
        void (*rel_entr)(const double* x, const double* y, double* out, Py_ssize_t n) noexcept nogil
        void (*kl_div)(const double* x, const double* y, double* out, Py_ssize_t n) noexcept nogil

    ctypedef struct reductions_double_ops:
        exp_sum (*sum_exp)(const double* x, Py_ssize_t n) noexcept nogil
        exp_sum (*sum_exp_times)(
            const double* x, const double* b, Py_ssize_t step, Py_ssize_t n, double* sizes) noexcept nogil
        double (*log_sum_exp)(const double* x, Py_ssize_t n) noexcept nogil
        void (*turn)(
            const double* x, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t n, double* out, Py_ssize_t out_stride
        ) noexcept nogil
        void (*softmax)(const double* x, Py_ssize_t n, int log, int streamed, double* out) noexcept nogil
        void (*stream)(const double* x, double* out, Py_ssize_t n) noexcept nogil
        void (*settle)() noexcept nogil
        Py_ssize_t (*softmax_pair)(
            const double* x, Py_ssize_t n, int streamed, double* log_out, double* out) noexcept nogil
        void (*shift)(
            const double* x, Py_ssize_t n, double largest, double high, double low, int log, double* out) noexcept nogil

    ctypedef struct exp_columns_double_ops:
        void (*log_sum_exp_columns)(
            const double* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns, double* out) noexcept nogil
        void (*softmax_columns)(
            const double* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns, int log, double* out,
            Py_ssize_t out_stride) noexcept nogil
        void (*softmax_pair_columns)(
            const double* x, Py_ssize_t n, Py_ssize_t n_columns, double* log_out, double* out, Py_ssize_t* places
        ) noexcept nogil
        void (*sum_exp_columns)(
            const double* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns, double* largest, double* count,
            double* rest) noexcept nogil
        void (*sum_exp_times_columns)(
            const double* x, Py_ssize_t n, Py_ssize_t stride, const double* b, Py_ssize_t b_stride, Py_ssize_t step,
            Py_ssize_t n_columns, double* largest, double* count, double* rest, double* sizes) noexcept nogil
        void (*together_columns)(
            double* sums, Py_ssize_t stride, const double* more, Py_ssize_t more_stride, Py_ssize_t n) noexcept nogil
        void (*log_sums)(const double* sums, Py_ssize_t stride, Py_ssize_t n, double* out) noexcept nogil
        void (*shifts)(
            const double* sums, Py_ssize_t stride, Py_ssize_t n, int log, double* base, double* high, double* low
        ) noexcept nogil
        void (*shift_columns)(
            const double* x, Py_ssize_t size, Py_ssize_t n_columns, const double* base, const double* high,
            const double* low, int log, int streamed, double* out) noexcept nogil

    ctypedef struct divergences_double_ops:
        double_sum* sums
        double_weighted* weighted
        double_terms* terms
        void (*sum_rows)(const double* terms, Py_ssize_t n_rows, Py_ssize_t n, double* out) noexcept nogil
        void (*add)(const double* x, Py_ssize_t n, double factor, double* sums, double* lost) noexcept nogil
        void (*add_rows)(
            const double* x, Py_ssize_t step, Py_ssize_t n_rows, Py_ssize_t n, const double* weights, double* sums,
            double* lost) noexcept nogil
        void (*weighted_rows)(
            const double* p, Py_ssize_t n_rows, Py_ssize_t n, const double* factors, double* out) noexcept nogil
        double (*inverse)(const double* p, Py_ssize_t n) noexcept nogil
        void (*share)(const double* p, Py_ssize_t n_rows, Py_ssize_t n, double* out) noexcept nogil

    ctypedef struct elementwise_float_ops:
        void (*expit)(const float* x, float* out, Py_ssize_t n) noexcept nogil
        void (*log_expit)(const float* x, float* out, Py_ssize_t n) noexcept nogil
        void (*logit)(const float* x, float* out, Py_ssize_t n) noexcept nogil
        void (*entr)(const float* x, float* out, Py_ssize_t n) noexcept nogil
        void (*xlogy)(const float* x, const float* y, float* out, Py_ssize_t n) noexcept nogil
        void (*rel_entr)(const float* x, const float* y, float* out, Py_ssize_t n) noexcept nogil
        void (*kl_div)(const float* x, const float* y, float* out, Py_ssize_t n) noexcept nogil

    ctypedef struct reductions_float_ops:
        exp_sum (*sum_exp)(const float* x, Py_ssize_t n) noexcept nogil
        exp_sum (*sum_exp_times)(
            const float* x, const float* b, Py_ssize_t step, Py_ssize_t n, double* sizes) noexcept nogil
        float (*log_sum_exp)(const float* x, Py_ssize_t n) noexcept nogil
        void (*turn)(
            const float* x, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t n, float* out, Py_ssize_t out_stride
        ) noexcept nogil
        void (*softmax)(const float* x, Py_ssize_t n, int log, int streamed, float* out) noexcept nogil
        void (*stream)(const float* x, float* out, Py_ssize_t n) noexcept nogil
        void (*settle)() noexcept nogil
        Py_ssize_t (*softmax_pair)(
            const float* x, Py_ssize_t n, int streamed, float* log_out, float* out) noexcept nogil
        void (*shift)(
            const float* x, Py_ssize_t n, float largest, float high, float low, int log, float* out) noexcept nogil

    ctypedef struct exp_columns_float_ops:
        void (*log_sum_exp_columns)(
            const float* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns, float* out) noexcept nogil
        void (*softmax_columns)(
            const float* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns, int log, float* out,
            Py_ssize_t out_stride) noexcept nogil
        void (*softmax_pair_columns)(
            const float* x, Py_ssize_t n, Py_ssize_t n_columns, float* log_out, float* out, Py_ssize_t* places
        ) noexcept nogil
        void (*sum_exp_columns)(
            const float* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns, double* largest, double* count,
            double* rest) noexcept nogil
        void (*sum_exp_times_columns)(
            const float* x, Py_ssize_t n, Py_ssize_t stride, const float* b, Py_ssize_t b_stride, Py_ssize_t step,
            Py_ssize_t n_columns, double* largest, double* count, double* rest, double* sizes) noexcept nogil
        void (*together_columns)(
            double* sums, Py_ssize_t stride, const double* more, Py_ssize_t more_stride, Py_ssize_t n) noexcept nogil
        void (*log_sums)(const double* sums, Py_ssize_t stride, Py_ssize_t n, float* out) noexcept nogil
        void (*shifts)(
            const double* sums, Py_ssize_t stride, Py_ssize_t n, int log, float* base, float* high, float* low
        ) noexcept nogil
        void (*shift_columns)(
            const float* x, Py_ssize_t size, Py_ssize_t n_columns, const float* base, const float* high,
            const float* low, int log, int streamed, float* out) noexcept nogil

    ctypedef struct divergences_float_ops:
        float_sum* sums
        float_weighted* weighted
        float_terms* terms
        void (*sum_rows)(const float* terms, Py_ssize_t n_rows, Py_ssize_t n, double* out) noexcept nogil
        void (*add)(const float* x, Py_ssize_t n, double factor, double* sums, double* lost) noexcept nogil
        void (*add_rows)(
            const float* x, Py_ssize_t step, Py_ssize_t n_rows, Py_ssize_t n, const double* weights, double* sums,
            double* lost) noexcept nogil
        void (*weighted_rows)(
            const float* p, Py_ssize_t n_rows, Py_ssize_t n, const double* factors, float* out) noexcept nogil
        double (*inverse)(const float* p, Py_ssize_t n) noexcept nogil
        void (*share)(const float* p, Py_ssize_t n_rows, Py_ssize_t n, float* out) noexcept nogil

    ctypedef struct shares_double_ops:
        void (*share)(
            const double* x, const double* factors, double added, Py_ssize_t n, int streamed, double* out
        ) noexcept nogil
        void (*settle)() noexcept nogil
        void (*share_short)(
            const double* x, const double* factors, double added, Py_ssize_t n_rows, Py_ssize_t n, int streamed,
            double* out) noexcept nogil
        void (*share_columns)(
            const double* x, double added, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns, double* out
        ) noexcept nogil
        int (*sum_columns)(
            const double* x, double added, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns,
            double* totals, double* lost) noexcept nogil
        int (*divisors)(
            const double* totals, const double* lost, Py_ssize_t n, double* firsts, double* seconds) noexcept nogil
        void (*divide_columns)(
            const double* x, double added, Py_ssize_t size, Py_ssize_t n_columns, const double* firsts,
            const double* seconds, int streamed, double* out) noexcept nogil

    ctypedef struct tables_double_ops:
        void (*add_up)(
            const double* x, Py_ssize_t n_rows, Py_ssize_t n, double* rows, double* columns) noexcept nogil
        void (*associate)(
            const double* x, Py_ssize_t n_rows, Py_ssize_t n, const double* rows, double total, const double* columns,
            const double* inverses, double unit, int streamed, double* out) noexcept nogil
        void (*settle)() noexcept nogil

    ctypedef struct shares_float_ops:
        void (*share)(
            const float* x, const float* factors, float added, Py_ssize_t n, int streamed, float* out
        ) noexcept nogil
        void (*settle)() noexcept nogil
        void (*share_short)(
            const float* x, const float* factors, float added, Py_ssize_t n_rows, Py_ssize_t n, int streamed,
            float* out) noexcept nogil
        void (*share_columns)(
            const float* x, float added, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns, float* out
        ) noexcept nogil
        int (*sum_columns)(
            const float* x, float added, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t n_columns,
            double* totals, double* lost) noexcept nogil
        int (*divisors)(
            const double* totals, const double* lost, Py_ssize_t n, float* firsts, float* seconds) noexcept nogil
        void (*divide_columns)(
            const float* x, float added, Py_ssize_t size, Py_ssize_t n_columns, const float* firsts,
            const float* seconds, int streamed, float* out) noexcept nogil

    ctypedef struct tables_float_ops:
        void (*add_up)(
            const float* x, Py_ssize_t n_rows, Py_ssize_t n, double* rows, double* columns) noexcept nogil
        void (*associate)(
            const float* x, Py_ssize_t n_rows, Py_ssize_t n, const double* rows, double total, const double* columns,
            const double* inverses, double unit, int streamed, float* out) noexcept nogil
        void (*settle)() noexcept nogil

    const elementwise_double_ops* elementwise_double_select() noexcept nogil
    const elementwise_float_ops* elementwise_float_select() noexcept nogil
    const reductions_double_ops* reductions_double_select() noexcept nogil
    const exp_columns_double_ops* exp_columns_double_select() noexcept nogil
    const reductions_float_ops* reductions_float_select() noexcept nogil
    const exp_columns_float_ops* exp_columns_float_select() noexcept nogil
    const divergences_double_ops* divergences_double_select() noexcept nogil
    const divergences_float_ops* divergences_float_select() noexcept nogil
    const shares_double_ops* shares_double_select() noexcept nogil
    const shares_float_ops* shares_float_select() noexcept nogil
    const tables_double_ops* tables_double_select() noexcept nogil
    const tables_float_ops* tables_float_select() noexcept nogil

cdef inline int kind_of(int measure, bint normalize) noexcept nogil:
    # Of sums of 1 the terms that cannot be negative make the same divergence, with nothing to cancel.
    return KL_OF_WHOLE if normalize and measure == KL else measure
