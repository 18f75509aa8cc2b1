/* A header that needs another one first: the check of `make check` must refuse it (it is no part of csrc). */
struct lm_needs_stdint {
  uint32_t field; /* <stdint.h> is missing on purpose */
};
