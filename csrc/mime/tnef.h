/*
** tnef.h: what Outlook packs into winmail.dat (application/ms-tnef; MS-OXTNEF): its files and its body.
**
** Text comes out as UTF-8, files as slices of the input. What breaks off is read as far as it goes.
** Rich text comes as RTF (rtf.h). A message inside is a file that is itself TNEF. Linear
** time; a limited number of files.
*/
#ifndef LM_MIME_TNEF_H
#define LM_MIME_TNEF_H

#include "base/arena.h"

struct lm_tnef_file {
  struct lm_str name; /* as the sender wrote it: any text */
  struct lm_str type; /* a media type; n is 0 where it does not say */
  struct lm_str cid;
  struct lm_str data;
  struct lm_tnef_file *next;
};

struct lm_tnef {
  struct lm_tnef_file *first;
  size_t count;
  struct lm_str subject;
  struct lm_str body; /* plain text; p is NULL where there is none */
  struct lm_str html;
  struct lm_str rtf;
  bool broken; /* it breaks off, or holds what makes no sense */
};

/* True where `bytes` begin as TNEF does. */
bool lm_tnef_is(struct lm_str bytes);

/* False only when memory is short. */
bool lm_tnef_read(struct lm_arena *a, struct lm_str bytes, struct lm_tnef *out);

#endif
