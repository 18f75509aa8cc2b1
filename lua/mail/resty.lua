--- What mail needs inside OpenResty besides the adapter: sending from any phase, and sessions that all
-- requests of a worker share.
--
-- A cosocket ends with the request that opened it. `send_later` hands a message to a timer and returns at
-- once; `owner` keeps a session in a timer of its own and lets requests use it. Both live in the Lua state
-- of one worker: with `lua_code_cache off` each request has a state of its own, and so nothing is shared.
-- @module mail.resty

local resty = {}

local later = require "mail.resty.later"
local owner = require "mail.resty.owner"

--- Sends a message soon: in a zero timer of this worker, in every phase but init. What waits is bounded,
-- lives in memory only, and is sent before the worker leaves.
-- @tparam table options as of `mail.send` (`from`, `to`, `message` or the fields of one, `dsn` …), and `smtp`:
--   the options of `mail.smtp.connect`; `retry`: array of seconds to pause before further tries where the failure may
--   pass (default: no further try); `on_sent`: function(receipt); `on_error`: function(err, options), called in the
--   timer where nobody, or not everybody, got the message (nginx's error log tells it, too)
-- @treturn boolean true; or nil, err: kind "limit" where the queue is full
-- @function send_later
resty.send_later = later.send_later

--- Bounds of `send_later` in this worker.
-- @tparam table options `messages` (default 1000) and `octets` (default 64 MiB) that may wait; `senders`
--   (default 2), timers that send at a time
-- @function configure
resty.configure = later.configure

--- What waits in this worker, or is being sent.
-- @treturn number messages
-- @treturn number octets
-- @treturn number timers that are sending
-- @function waiting
resty.waiting = later.waiting

--- The session of that name, which a timer of this worker keeps for all its requests; made at the first
-- call. It is opened again after a failure, and ends within a second or two when the worker leaves.
-- See `mail.resty.owner` for `owner:call`.
-- @tparam string name
-- @tparam[opt] table options one of `imap`, `smtp`, `pop3` (options of `connect`) or `open` (a function
--   that returns something with `close`); `queue`: calls that may wait (default 64); `parallel`: calls
--   at a time (default 4); `timeout`: seconds for a call (default 30); `back_off`: { first, most }
--   seconds (default { 1, 60 }); `noop`: seconds without use after which the server is asked (default
--   120). Without options the owner must be there already; with others than its own the call is refused (kind
--   "invalid"), so that nobody gets another's session
-- @tparam[opt] function fn fn(session, owner): runs in the timer for as long as it likes (IDLE …);
--   an error that it raises means a new session
-- @treturn table owner; or nil, err
-- @function owner
resty.owner = owner.owner

return resty
