/*
** open.h: the parts of the core, one function each, in the order in which they are opened.
**
** Each adds its functions and classes to the module table on the top of the stack.
*/
#ifndef LM_BIND_OPEN_H
#define LM_BIND_OPEN_H

#include "bind/compat.h"

void lm_open_buffer(lua_State *L);  /* bind.c: memory that is collected whatever raises */
void lm_open_mime(lua_State *L);    /* l_mime.c: addresses, encoded words, charsets, dates */
void lm_open_message(lua_State *L); /* l_message.c: messages and their parts */
void lm_open_reader(lua_State *L);  /* l_reader.c: messages in pieces */
void lm_open_compose(lua_State *L); /* l_compose.c: header fields, transfer encodings */
void lm_open_text(lua_State *L);    /* l_text.c: HTML as text, format=flowed, previews */
void lm_open_box(lua_State *L);     /* l_box.c: what all sessions share */
void lm_open_want(lua_State *L);    /* l_want.c: option tables */
void lm_open_os(lua_State *L);      /* l_os.c: poller, connections, clock */
void lm_open_file(lua_State *L);    /* l_file.c: files and folders of mail stores */
void lm_open_dial(lua_State *L);    /* l_dial.c: resolver, dial */
void lm_open_child(lua_State *L);   /* l_child.c: programs and Unix sockets as transports */
void lm_open_tls(lua_State *L);     /* l_tls.c: TLS contexts */
void lm_open_sasl(lua_State *L);    /* l_sasl.c: one SASL exchange */
void lm_open_sign(lua_State *L);    /* l_sign.c: headers, bodies and keys of signed messages */
void lm_open_cms(lua_State *L);     /* l_cms.c: S/MIME: certificates, keys, CMS objects */
void lm_open_pop3c(lua_State *L);   /* l_pop3c.c: POP3 client sessions */
void lm_open_listing(lua_State *L); /* l_pop3list.c: POP3 listings, RETR ahead of the user */
void lm_open_smtpc(lua_State *L);   /* l_smtpc.c: SMTP client sessions */
void lm_open_imapc(lua_State *L);   /* l_imapc.c: IMAP client sessions, sets, mailbox names */
void lm_open_uidset(lua_State *L);  /* l_uidset.c: sets of message numbers as ranges */
void lm_open_stream(lua_State *L);  /* l_stream.c: sessions without a protocol, signatures */

#endif
