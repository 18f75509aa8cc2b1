--- How many connections an account may have, and how a server says that these are too many.
--
-- Providers count connections by account (some by address), those of the user's other programs included; none tells
-- its limit in the protocol. Here is what they say elsewhere; `max_links` says it where this is silent or out of date.
-- @module mail.imap.account.limits

local ascii = require "mail.ascii"

local limits = {}

-- What providers allow: the end of the host's name → connections of one account at a time.
local PROVIDERS = {
  { "imap.gmail.com", 15 }, { "imap.googlemail.com", 15 },
  { "imap.mail.yahoo.com", 5 }, { "mail.yahoo.co.jp", 5 }, { "imap.aol.com", 5 },
  { "outlook.office365.com", 20 }, { "imap-mail.outlook.com", 20 }, { "outlook.office.com", 20 },
}

--- What the provider of that host allows.
-- @tparam string host
-- @treturn ?number connections; nil where nothing is known
function limits.of_host(host)
  local name = ascii.lower(host):gsub("%.$", "")
  for _, row in ipairs(PROVIDERS) do
    local ending = row[1]
    if name == ending or name:sub(-#ending - 1) == "." .. ending then return row[2] end
  end
end

-- Words of servers that have too many of us: Gmail, Dovecot, Cyrus, Courier, Exchange, Yahoo.
local CROWDED = {
  "too many", "maximum number of connections", "simultaneous connections", "connection limit", "concurrent connections",
  "connections exceeded", "over quota of connections",
}

--- True where the server wants fewer commands for a while: [THROTTLED], a suggested time, or words of that kind.
-- @tparam table err
function limits.is_throttled(err)
  if err.response_code == "THROTTLED" or (err.retry_after and err.kind ~= "closed") then return true end
  return ascii.lower(err.text or ""):find("throttl", 1, true) ~= nil
end

--- True where a connection was refused because there are others.
-- @tparam table err
function limits.is_crowded(err)
  if err.kind == "closed" or err.kind == "rejected" or err.kind == "auth" then
    if err.response_code == "LIMIT" or limits.is_throttled(err) then return true end
    local words = ascii.lower((err.text or "") .. " " .. err.message)
    for _, part in ipairs(CROWDED) do
      if words:find(part, 1, true) then return true end
    end
  end
  return false
end

return limits
