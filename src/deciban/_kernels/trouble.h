/* What a loop meets in a matrix that it does not trust: bits of the number that it returns. */
#ifndef DECIBAN_TROUBLE_H
#define DECIBAN_TROUBLE_H

enum {
    TROUBLE_MALFORMED = 1, /* an index or a row pointer out of range */
    TROUBLE_NONFINITE = 2, /* NaN or infinity */
    TROUBLE_UNDEFINED = 4, /* a row whose largest value is not finite */
    TROUBLE_NEGATIVE = 8,  /* a number below zero */
    TROUBLE_WIDE = 16,     /* what does not fit in the table's cells */
};

#endif
