/*
** scan.h: the two searches over whole messages: for the end of a line, and for a line that begins
** with two hyphens.
**
** A line ends in CRLF, LF or CR, in headers and bodies alike, as base/dot.h sends it. All else in the
** structure of a message (RFC 2046 §5.1.1) is decided at the places that are found here, so these
** loops set the speed of the parser. The result is the same with and without vector code.
*/
#ifndef LM_MIME_SCAN_H
#define LM_MIME_SCAN_H

#include "base/lm.h"
#include "base/vector.h"

/* The first CR or LF from `p` on; `end` where there is none. */
const char *lm_scan_line_end(const char *p, const char *end);

/* The first "--" from `p` on behind a CR or LF; `end` where there is none. The octet before `p` is
** not looked at: what stands at `p` itself is never found. */
const char *lm_scan_hyphens(const char *p, const char *end);

/* The same at one level of vector code; for tests. */
const char *lm_scan_line_end_with(enum lm_vector level, const char *p, const char *end);
const char *lm_scan_hyphens_with(enum lm_vector level, const char *p, const char *end);

/* What follows the line end at `p`; `p` itself where none stands there. */
static inline const char *lm_scan_next_line(const char *p, const char *end) {
  if (p < end && *p == '\r') p++;
  if (p < end && *p == '\n') p++;
  return p;
}

#endif
