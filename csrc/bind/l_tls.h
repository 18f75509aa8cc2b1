/*
** l_tls.h: the methods of TLS that every session has (l_box.c lists them); made in l_tls.c.
*/
#ifndef LM_BIND_L_TLS_H
#define LM_BIND_L_TLS_H

#include "bind/compat.h"

/* start_tls(context [, name [, session]]) -> true | nil, message: puts the filter in and tells the
** protocol session that what it knew is void. The handshake runs as bytes move. */
int lm_box_start_tls(lua_State *L);

/* tls_info() -> { version=, cipher=, alpn=, resumed=, peer_certificate= } | nil before it is open */
int lm_box_tls_info(lua_State *L);

/* tls_session() -> what a later connection can be resumed with | nil */
int lm_box_tls_session(lua_State *L);

/* tls_why() -> why TLS failed | nil */
int lm_box_tls_why(lua_State *L);

/* tls_close() -> true where close_notify is all that waits to be sent, false where it will go out
** behind more | nil without TLS */
int lm_box_tls_close(lua_State *L);

/* tls_binding(name) -> bytes | nil: "tls-exporter" or "tls-server-end-point" */
int lm_box_tls_binding(lua_State *L);

#endif
