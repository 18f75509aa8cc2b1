/*
** rtf.h: rich text as Outlook packs it (PR_RTF_COMPRESSED, MS-OXRTFCP §2.1).
**
** Unpacks only: what the text says is for who reads RTF. Linear time; no more memory than eight times what
** is packed, whatever size it claims.
*/
#ifndef LM_MIME_RTF_H
#define LM_MIME_RTF_H

#include "base/arena.h"

/* The text that `packed` stands for, as far as it goes; p is NULL where it is none. A slice of `packed`, or
** in the arena. False only when memory is short. */
bool lm_rtf_unpack(struct lm_arena *a, struct lm_str packed, struct lm_str *out);

#endif
