/*
** words.c: OpenSSL's error queue in words that a person can read.
**
** The queue belongs to the thread, not to us (a host's own TLS uses it too): it is emptied before
** each of our calls and after each failure of ours.
*/
#include "tls/engine.h"

#include <openssl/err.h>
#include <string.h>

void lm_tls_say(struct lm_buf *b, const char *text, size_t n) {
  char *room = lm_buf_room(b, n);
  size_t i;
  if (room == NULL) return;
  for (i = 0; i < n; i++) room[i] = (text[i] < ' ' || text[i] > '~') ? '?' : text[i];
  lm_buf_added(b, n);
}

void lm_tls_says(struct lm_buf *b, const char *text) {
  lm_tls_say(b, text, strlen(text));
}

/* What OpenSSL says where the first bytes are no TLS record at all. */
static bool is_no_tls(unsigned long e) {
  int reason = ERR_GET_REASON(e);
  return ERR_GET_LIB(e) == ERR_LIB_SSL &&
         (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
          reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_HTTPS_PROXY_REQUEST);
}

enum lm_code lm_tls_say_error(struct lm_buf *b) {
  unsigned long e = ERR_peek_error();
  const char *reason = ERR_reason_error_string(e);
  enum lm_code code = ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE ? LM_E_MEMORY : LM_E_TLS;
  if (is_no_tls(e)) lm_tls_says(b, "the peer does not speak TLS: ");
  if (ERR_SYSTEM_ERROR(e)) reason = strerror(ERR_GET_REASON(e));
  lm_tls_says(b, reason ? reason : "unknown error");
  ERR_clear_error();
  return code;
}
