/*
** codec.h: the machines behind transfer.h, one file each; transfer.c alone calls them.
*/
#ifndef LM_MIME_CODEC_H
#define LM_MIME_CODEC_H

#include "mime/transfer.h"

/* Each is the `put` or the `end` of one encoding; false when memory is short. */
bool lm_base64_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece);
bool lm_base64_end(struct lm_decoder *d, struct lm_buf *out);
bool lm_qp_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece);
bool lm_qp_end(struct lm_decoder *d, struct lm_buf *out);
bool lm_uu_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece);
void lm_uu_end(struct lm_decoder *d);

bool lm_base64_write(struct lm_encoder *e, struct lm_buf *out, struct lm_str piece);
bool lm_base64_finish(struct lm_encoder *e, struct lm_buf *out);
bool lm_qp_write(struct lm_encoder *e, struct lm_buf *out, struct lm_str piece);
bool lm_qp_finish(struct lm_encoder *e, struct lm_buf *out);

#endif
