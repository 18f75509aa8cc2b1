/*
** l_zlib.h: the methods of compression of a session whose protocol has it (l_imapc.c lists them); made in
** l_zlib.c.
*/
#ifndef LM_BIND_L_ZLIB_H
#define LM_BIND_L_ZLIB_H

#include "bind/compat.h"

/* start_deflate() -> true | nil, message: puts DEFLATE between the session and what is below it. What
** came behind the peer's OK is compressed already, and is read as such (RFC 4978 §3). */
int lm_box_start_deflate(lua_State *L);

/* deflate_count() -> { received=, received_plain=, sent=, sent_plain= } in octets | nil without it */
int lm_box_deflate_count(lua_State *L);

#endif
