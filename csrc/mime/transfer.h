/*
** transfer.h: content transfer encodings (RFC 2045 §6), both ways, over pieces of any size.
**
** Decoding forgives whatever real mail holds and counts it in `defects`; encoding writes lines of at
** most 76 characters in CRLF. The result is the same for every cut into pieces, and the same with and
** without the vector code that is chosen at run time.
** Not here: which encoding a part has (part.h), and which one is best for new text (compose).
*/
#ifndef LM_MIME_TRANSFER_H
#define LM_MIME_TRANSFER_H

#include "base/buf.h"

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

struct lm_decoder {
  enum lm_transfer how;
  uint8_t state;  /* of the encoding's own machine */
  uint8_t held_n; /* octets that depend on what follows */
  char held[64];
  size_t spaces;  /* QP: white space that the end of its line will drop; beyond `held` */
  size_t defects; /* octets that no encoder writes, a missing end */
};

void lm_decoder_init(struct lm_decoder *d, enum lm_transfer how);

/* Appends what `piece` stands for; false when memory is short. */
bool lm_decoder_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece);

/* The end has come: appends what was held back. */
bool lm_decoder_end(struct lm_decoder *d, struct lm_buf *out);

/* --- encoding ----------------------------------------------------------------------------------- */

struct lm_encoder {
  enum lm_transfer how; /* base64 or QP */
  bool text;            /* QP: line ends of any kind are line ends; else they are octets */
  uint8_t held_n;
  char held[64];
  size_t column; /* of the line under construction */
};

void lm_encoder_init(struct lm_encoder *e, enum lm_transfer how, bool text);
bool lm_encoder_put(struct lm_encoder *e, struct lm_buf *out, struct lm_str piece);

/* Ends the last line, with CRLF where anything stands in it. */
bool lm_encoder_end(struct lm_encoder *e, struct lm_buf *out);

/* How long `n` octets become in base64, line ends counted. */
uint64_t lm_base64_length(uint64_t n);

#endif
