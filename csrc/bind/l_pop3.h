/*
** l_pop3.h: what l_pop3list.c needs of the POP3 sessions in l_pop3c.c.
*/
#ifndef LM_BIND_L_POP3_H
#define LM_BIND_L_POP3_H

#include "bind/compat.h"
#include "pop3/client.h"

/* A live POP3 session at `i`; an argument error otherwise. */
struct lm_pop3c *lm_checkpop3c(lua_State *L, int i);

#endif
