/*
** transfer.h: content transfer encodings (RFC 2045 §6), both ways, over pieces of any size.
**
** Decoding forgives whatever real mail holds and counts it in `defects`; encoding writes lines of at
** most 76 characters in CRLF. The result is the same for every cut into pieces, and the same with and
** without the vector code that is chosen at run time.
** Not here: which encoding a part has (part.h), and which one is best for new text (survey.h).
*/
#ifndef LM_MIME_TRANSFER_H
#define LM_MIME_TRANSFER_H

#include "base/buf.h"
#include "base/vector.h"

enum lm_transfer {
  LM_TRANSFER_IDENTITY, /* 7bit, 8bit, binary, and whatever is unknown */
  LM_TRANSFER_BASE64,
  LM_TRANSFER_QP,
  LM_TRANSFER_UU
};

/* The encoding of that name, in any case; false where it is unknown (then it is LM_TRANSFER_IDENTITY,
** as RFC 2045 §6.4 wants it). */
bool lm_transfer_find(struct lm_str name, enum lm_transfer *out);

/* --- decoding ----------------------------------------------------------------------------------- */

/*
** What is forgiven, and how:
** - base64: white space anywhere is passed over; other octets are, too, and count. Padding that is
**   missing, early (more text follows) or too much counts.
** - QP: white space at the end of a line is dropped (of a run over 60 octets only what is beyond each
**   61st, for it must be held until the line ends); `=` before it and a line end, or at the end of all,
**   is a soft line break. An escape of other characters stays as it stands, and counts. Octets that
**   should have been escaped, and lower-case digits, are taken.
** - uuencode: what stands before "begin" and behind "end" is dropped, each line before it counts;
**   trailing spaces that a relay has cut are put back.
*/
struct lm_decoder {
  enum lm_transfer how;
  enum lm_vector level; /* set by init to the best there is; a test may lower it */
  uint8_t state;        /* of the encoding's own machine */
  uint8_t held_n;       /* octets that depend on what follows */
  char held[64];
  size_t due;     /* uuencode: octets that the line still promises */
  size_t defects; /* octets that no encoder writes, a missing end */
};

void lm_decoder_init(struct lm_decoder *d, enum lm_transfer how);

/* Appends what `piece` stands for; false when memory is short (the decoder is then of no more use). */
bool lm_decoder_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece);

/* The end has come: appends what was held back. */
bool lm_decoder_end(struct lm_decoder *d, struct lm_buf *out);

/* --- encoding ----------------------------------------------------------------------------------- */

struct lm_encoder {
  enum lm_transfer how; /* not uuencode */
  enum lm_vector level;
  bool text;     /* line ends of any kind (CRLF, LF, CR) become CRLF; else they are octets */
  bool after_cr; /* text: an LF that follows belongs to the line end that was written */
  bool open;     /* something stands in the line under construction */
  uint8_t held_n;
  char held[64];
  size_t column; /* QP: of the line under construction */
};

void lm_encoder_init(struct lm_encoder *e, enum lm_transfer how, bool text);
bool lm_encoder_put(struct lm_encoder *e, struct lm_buf *out, struct lm_str piece);

/* Ends the last line, with CRLF where anything stands in it (a soft line break where QP is not text;
** identity that is not text is left as it is). */
bool lm_encoder_end(struct lm_encoder *e, struct lm_buf *out);

/* How long `n` octets become in base64, line ends counted. */
uint64_t lm_base64_length(uint64_t n);

#endif
