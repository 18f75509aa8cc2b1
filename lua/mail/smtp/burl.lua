--- Messages of which the server fetches parts itself (BURL, RFC 4468): `message = { "Subject: …",
-- { url = "imap://…;urlauth=…" }, … }`.
--
-- Text goes by BDAT, URLs by BURL; without CHUNKING one URL alone can be the message.
-- @module mail.smtp.burl

local burl = {}

-- How much text is handed to the core at a time.
local PIECE = 65536

--- True where `message` is such a list.
function burl.is_list(message)
  return type(message) == "table" and type(message.source) ~= "function" and message[1] ~= nil
end

-- absolute-URI (RFC 3986 §4.3), printable ASCII without spaces.
local function is_url(url)
  return type(url) == "string" and url:find("^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$") ~= nil
end

--- The parts as a source for `mail.smtp.send`; raises at `level` where it is no such list.
-- @treturn table source; its first text; or nil, nil, err
function burl.open(pump, message, level)
  local parts, text = {}, nil
  for i, part in ipairs(message) do
    local url = type(part) == "table" and part.url
    if type(part) ~= "string" and not url then
      error(("smtp:send: part %d of the message must be a string or have a 'url'"):format(i), level + 1)
    end
    if url and not is_url(url) then
      return nil, nil, pump:error("invalid", ("part %d of the message: bad URL"):format(i), { command = "BURL" })
    end
    if url then
      parts[#parts + 1] = { url = url }
    else
      text = text or part
      for from = 1, #part, PIECE do parts[#parts + 1] = { text = part:sub(from, from + PIECE - 1) } end
    end
  end
  local has = pump.capabilities
  local function lacks(name)
    return nil, nil, pump:error("unsupported", "the message needs " .. name .. ", which the server lacks", {
      command = "MAIL",
    })
  end
  if not has.BURL then return lacks "BURL" end
  if #parts > 1 and (not has.CHUNKING or pump.chunking == false) then return lacks "CHUNKING" end
  return { parts = parts, at = 1 }, text or ""
end

--- Gives the core the next part of command `id`, or the end: true; or nil, err.
function burl.give(pump, id, source)
  local part = source.parts[source.at]
  source.at = source.at + 1
  if part == nil then
    pump.session:give_end(id)
    return true
  end
  if part.url then
    pump.session:give_url(id, part.url, source.at > #source.parts)
    return true
  end
  local ok, kind, reason = pump.session:give(id, part.text)
  if ok then return true end
  pump:abandon(id)
  return nil, pump:error(kind, reason, { command = "BDAT" })
end

return burl
