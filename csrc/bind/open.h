/*
** open.h: the parts of the core, one function each, in the order in which they are opened.
**
** Each adds its functions and classes to the module table on the top of the stack.
*/
#ifndef LM_BIND_OPEN_H
#define LM_BIND_OPEN_H

#include "bind/compat.h"

void lm_open_os(lua_State *L); /* l_os.c: poller, connections, clock */

#endif
