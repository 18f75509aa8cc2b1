--- The adapter of the library's own loop, and of no loop at all.
--
-- In a task a wait parks the task; on the main thread, and in coroutines that are no task, it is a
-- poll(2), or turns of the loop where tasks are alive. So a session may be opened in a plain script
-- and used in tasks afterwards.
-- @module mail.io.native

local loop = require "mail.loop"
local fd = require "mail.io.fd"

return fd.complete(loop.native)
