/*
** l_smtp.h: what the bindings of SMTP client sessions share.
*/
#ifndef LM_BIND_L_SMTP_H
#define LM_BIND_L_SMTP_H

#include "bind/bind.h"

/* The session's methods `transaction` and `usual`; see l_smtp_txn.c. */
int lm_smtp_transaction(lua_State *L);
int lm_smtp_usual(lua_State *L);

#endif
