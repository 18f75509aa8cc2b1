--- Secrets out of texts that others wrote: a peer may repeat what it was told.
-- @module mail.mask

--- `text` with `***` wherever `secret` stands in it; a secret that is no text, or none, changes nothing.
return function(text, secret)
  if type(secret) ~= "string" or secret == "" then return text end
  local from, to = text:find(secret, 1, true)
  while from do
    text = text:sub(1, from - 1) .. "***" .. text:sub(to + 1)
    from, to = text:find(secret, from + 3, true)
  end
  return text
end
