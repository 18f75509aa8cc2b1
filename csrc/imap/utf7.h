/*
** utf7.h: mailbox names between UTF-8 and IMAP's modified UTF-7 (RFC 3501 §5.1.3).
**
** Printable ASCII stands for itself, "&" is "&-", everything else is UTF-16 in a base64 with ","
** for "/" between "&" and "-". Both directions are strict: what is not the one right form is
** refused, and the caller shows such a name as it came.
*/
#ifndef LM_IMAP_UTF7_H
#define LM_IMAP_UTF7_H

#include "base/buf.h"

enum lm_utf7 { LM_UTF7_OK, LM_UTF7_BAD, LM_UTF7_MEMORY };

/* Appends `s`, UTF-8, in modified UTF-7. BAD: not UTF-8, or a NUL, CR or LF. */
enum lm_utf7 lm_utf7_encode(struct lm_buf *out, struct lm_str s);

/* Appends the UTF-8 that `s`, modified UTF-7, stands for. BAD: not in the one right form. */
enum lm_utf7 lm_utf7_decode(struct lm_buf *out, struct lm_str s);

#endif
