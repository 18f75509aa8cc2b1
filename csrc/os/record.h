/*
** record.h: what the DNS says of a name besides addresses: MX, SRV, TXT, PTR.
**
** Reads one answer of the resolver into rows. Order, weights and what they mean (RFC 5321 §5.1,
** RFC 2782) are the caller's business; here nothing is sorted and nothing dropped but what passes
** the limit.
*/
#ifndef LM_OS_RECORD_H
#define LM_OS_RECORD_H

#include "base/lm.h"

enum lm_record_type {
  LM_RECORD_ADDRESS,
  LM_RECORD_MX,
  LM_RECORD_SRV,
  LM_RECORD_TXT,
  LM_RECORD_PTR
};

enum { LM_RECORDS = 100 }; /* rows kept of one answer */

struct lm_record {
  char *text; /* MX, SRV, PTR: the host, NUL-terminated, "" for the root; TXT: its strings joined */
  size_t n;   /* octets of it: a TXT may hold NUL */
  uint16_t priority, weight, port;
};

/* The type's number in the DNS; 0 for addresses, which have two. */
int lm_record_number(enum lm_record_type type);

/* Reads an answer as it came from the wire. The rows are the caller's, to be given to
** lm_record_free; *count_out of them. Returns a status of c-ares. */
int lm_record_parse(enum lm_record_type type, const unsigned char *answer, int n,
                    struct lm_record **rows_out, size_t *count_out);

void lm_record_free(struct lm_record *rows, size_t count);

#endif
