--- The device authorization grant (RFC 8628): for programs without a browser. A person is shown an address and a
-- code, and gives leave there with any other device, while the program asks now and then whether that was done.
-- @module mail.oauth2.device

local endpoint = require "mail.oauth2.endpoint"
local loop = require "mail.loop"

local GRANT = "urn:ietf:params:oauth:grant-type:device_code"

-- Seconds between two questions where the server names none; more where it says that they are too many (§3.5).
local INTERVAL, SLOWER = 5, 5

local failure = endpoint.failure

local function is_text(value, pattern)
  return type(value) == "string" and #value <= 4096 and value:find(pattern) ~= nil
end

-- The answer of the first request (§3.2), checked: what is shown goes to a person's screen.
local function read(client, reply)
  local address = reply.verification_uri or reply.verification_url -- as Google's has it
  local complete, seconds = reply.verification_uri_complete, tonumber(reply.expires_in)
  if not (is_text(reply.device_code, "^[!-~]+$") and is_text(reply.user_code, "^[ -~]+$")
    and is_text(address, "^https?://[!-~]+$") and seconds and seconds > 0) then
    return failure("protocol", "the endpoint gives no code for a device")
  end
  table.insert(client.secrets, reply.device_code)
  local interval = tonumber(reply.interval) or INTERVAL
  return {
    code = reply.device_code, interval = interval >= 0 and interval or INTERVAL, seconds = seconds,
    shown = {
      verification_uri = address, user_code = reply.user_code, expires_in = seconds,
      verification_uri_complete = is_text(complete, "^https?://[!-~]+$") and complete or nil,
      message = endpoint.clean(client, reply.message),
    },
  }
end

-- How long to pause after that answer; nil where there is nothing more to wait for. A server that cannot be
-- reached is asked at half the pace from then on (§3.5).
local function pause(err, interval)
  if err.error == "authorization_pending" then return interval end
  if err.error == "slow_down" then return interval + SLOWER end
  if err.temporary and err.kind ~= "cancelled" then return 2 * math.max(interval, 1) end
end

local function poll(client, device, host)
  local deadline, interval = host.now() + device.seconds, device.interval
  client.options.prompt(device.shown)
  while host.now() + interval < deadline do
    local ok, why = host.event():wait(interval)
    if not ok and why ~= "timeout" then return failure("cancelled", "the wait for the user's leave was ended") end
    local reply, err = endpoint.ask(client, client.options.token_url,
      { { "grant_type", GRANT }, { "device_code", device.code } })
    if reply then return reply end
    interval = pause(err, interval)
    if not interval then return nil, err end
  end
  return endpoint.refusal(client, "expired_token", "nobody gave leave in time")
end

--- Asks for a code, shows it, and waits for the user's leave.
-- @tparam table client `options` with `device_url`, `token_url`, `prompt`
-- @treturn table the token endpoint's answer; or nil, err
return function(client)
  local reply, err = endpoint.ask(client, client.options.device_url, { { "scope", client.options.scope } })
  if not reply then return nil, err end
  local device
  device, err = read(client, reply)
  if not device then return nil, err end
  return poll(client, device, client.options.loop or loop.host())
end
