# The numbers that kernels are compiled for: of real arrays, of samples as they come, and of a CSR matrix's structure.
ctypedef fused real_t:
    double
    float

ctypedef fused data_t:
    double
    float
    int
    long long

ctypedef fused index_t:
    int
    long long
