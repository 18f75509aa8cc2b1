--- SMTP connections that outlive their session, in the pool of a loop that has one (OpenResty).
--
-- A pool is named after everything that tells two connections apart: where, under which TLS, as whom.
-- Secrets are in that name only as a keyed digest, whose key the adapter keeps to itself. What goes into
-- a pool is in the state that follows a login: RSET was answered, nothing is under way.
-- Invariant: two connections with one name may be taken for one another.
-- @module mail.keepalive

local Pump = require "mail.pump"
local auth = require "mail.auth"
local identity = require "mail.identity"
local want = require "mail.want"

local keepalive = {}

local OPTIONS = { idle = "number?", size = "number?", timeout = "number|table?" }
-- What says nothing of a connection: the host stands in the name, in A-labels; the others are the session's,
-- which is new each time.
local HARMLESS = { host = true, pool = true, timeout = true, log = true, limits = true, loop = true, chunking = true,
  downgrade = true }

-- A secret that a function gives is asked for now; where it gives none, the login says so.
local function settle(o, name)
  if not auth.is_callable(o[name]) then return true end
  local value = o[name]()
  if type(value) ~= "string" then return false end
  o[name] = value
  return true
end

--- The name of the pool for a connection with these options; nil where it cannot be pooled.
-- @tparam table o as from `mail.connect.options`; functions that give a secret are called, once
-- @tparam string name the server's, in A-labels
-- @tparam table host the adapter, whose `digest(text)` has a key of its own
function keepalive.pool(o, name, host)
  local poolable = o.tls == "none" or o.tls == "implicit" and o.tls_by == "host"
  if not poolable or not settle(o, "password") or not settle(o, "token") then return nil end
  local digest = host.digest(identity.of(o, HARMLESS))
  return digest and ("lua-mail:smtp:%s:%d:%s"):format(name, o.port, digest)
end

-- What a server called itself when its connection was new; few, since they are read again all the time.
local greetings, count = {}, 0

--- A connection from the pool has been greeted long ago: the core is told so.
-- @treturn boolean true where the login is behind it, too
function keepalive.resume(pump, o)
  pump.pool = o.pool
  local transport = pump.conn.transport
  if not (transport and transport.reused) then return false end
  pump.session:feed("220 " .. (greetings[o.pool] or o.host) .. "\r\n")
  return true
end

local function remember(pump)
  if greetings[pump.pool] then return end
  if count >= 64 then greetings, count = {}, 0 end
  greetings[pump.pool], count = pump.greeting:match "^[^\r\n]*", count + 1
end

--- See `smtp:keepalive`.
function keepalive.release(session, options)
  options = want(options or {}, OPTIONS, "smtp:keepalive", 2)
  local pump = Pump.of(session)
  if pump.failure then return nil, pump.failure end
  if pump.peculiar then return nil, pump:error("invalid", "not for the pool: " .. pump.peculiar) end
  if not pump.pool then
    return nil, pump:error("unsupported", "only plaintext, and TLS by the host (tls_by = 'host'), can be pooled, "
      .. "by a loop that has a pool")
  end
  local ok, err = session:reset { timeout = options.timeout }
  if not ok then return nil, err end
  remember(pump)
  return pump:release(options.idle or 60, options.size or 30)
end

return keepalive
