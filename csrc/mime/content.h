/*
** content.h: what the content of one part means: its octets without their transfer encoding, and text
** as UTF-8 with lines that end in LF.
*/
#ifndef LM_MIME_CONTENT_H
#define LM_MIME_CONTENT_H

#include "base/arena.h"
#include "mime/charset.h"
#include "mime/transfer.h"

/* The octets that `raw` stands for: `raw` itself where it is not encoded, else in `room`, which is
** emptied first. What broke the encoding's rules is counted. False when memory is short. */
bool lm_content_decode(enum lm_transfer how, struct lm_str raw, struct lm_buf *room,
                       struct lm_str *out, size_t *defects_out);

enum { LM_CONTENT_PIECE = 65536 }; /* encoded octets that are decoded at a time */

/* The same octets piece by piece, so that memory does not grow with the content. */
struct lm_content_reader {
  struct lm_decoder decoder;
  struct lm_str rest; /* not decoded yet */
  bool ended;
};

void lm_content_begin(struct lm_content_reader *r, enum lm_transfer how, struct lm_str raw);

/* The next octets: of the raw text, or in `room`, which is emptied first; none at the end. False when memory
** is short. */
bool lm_content_next(struct lm_content_reader *r, struct lm_buf *room, struct lm_str *piece_out);

struct lm_text_kind {
  struct lm_str charset;
  bool html;
  struct lm_converters *kept; /* may be NULL */
};

/* `bytes` of a text part as UTF-8. Without a charset HTML is asked for its own (<meta charset=...>),
** else it is guessed. A byte order mark is dropped. The result is `bytes` or lies in the arena. False
** only when memory is short. */
bool lm_content_text(struct lm_arena *a, const struct lm_text_kind *kind, struct lm_str bytes,
                     struct lm_str *utf8_out);

/* What is wrong with `bytes` as a text part, in static words: a charset that nobody knows, or that is not the
** text's; 8-bit text of none; a NUL. NULL where nothing is, or memory is short. */
const char *lm_content_trouble(struct lm_arena *a, const struct lm_text_kind *kind,
                               struct lm_str bytes);

enum { LM_LINES_SLACK = 32 }; /* octets that may be written behind the result */

/* Copies `s` with LF in place of CRLF and CR; `out` has room for s.n octets and the slack. Returns how many
** were written. */
size_t lm_content_lines(struct lm_str s, char *out);

/* The same at one level of vector code; for tests. */
size_t lm_content_lines_with(enum lm_vector level, struct lm_str s, char *out);

#endif
