/*
** idn.h: internationalized domain names to A-labels (RFC 5891 through libidn2; UTS 46 mapping,
** non-transitional).
**
** What DNS, TLS host names and SMTP envelopes are given. ASCII names pass as they are.
*/
#ifndef LM_MIME_IDN_H
#define LM_MIME_IDN_H

#include "base/arena.h"

/* `domain` in A-labels; itself where it is ASCII. False where it is no domain name (out->p is not
** NULL then), or when memory is short (out->p is NULL). */
bool lm_idn_to_ascii(struct lm_arena *a, struct lm_str domain, struct lm_str *out);

/* True where `s` is a name as RFC 5321 §4.1.2 writes domains: labels of letters, digits and inner
** hyphens, of 1 to 63 octets, 255 in all. */
bool lm_idn_is_hostname(struct lm_str s);

#endif
