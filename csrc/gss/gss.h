/*
** gss.h: the system's GSS-API with Kerberos V5 (RFC 2743, RFC 4121), behind the table of base/gss.h.
**
** The only folder that knows <gssapi/...>. The library is there or not when this is compiled
** (LM_GSSAPI, which the Makefile sets where pkg-config knows it); nothing else depends on that.
*/
#ifndef LM_GSS_GSS_H
#define LM_GSS_GSS_H

#include "base/gss.h"

/* The functions; NULL where this was built without the library. */
const struct lm_gss_calls *lm_gss_library(void);

#endif
