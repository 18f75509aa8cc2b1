--- Rate limits: so many in a second, spread evenly, with a burst where one is allowed.
--
-- A token bucket, kept as one number (the generic cell rate algorithm): the time at which the bucket would
-- be full again. Whoever takes a token is told when it is good; nobody is ever told an earlier time than
-- those before.
-- Invariant: in any t seconds at most burst + t * rate tokens are good.
-- @module mail.smtp.pool.rate

local rate = {}

local Rate = {}
Rate.__index = Rate

--- A bucket.
-- @tparam number per_second more than 0
-- @tparam[opt=1] number burst how many may go at once after a pause
function rate.new(per_second, burst)
  local interval = 1 / per_second
  return setmetatable({ interval = interval, slack = ((burst or 1) - 1) * interval, full_at = -math.huge }, Rate)
end

--- When the next token is good, without taking it.
function Rate:when(now)
  local at = self.full_at - self.slack
  return at > now and at or now
end

--- Takes a token; returns when it is good.
function Rate:take(now)
  local at = self:when(now)
  self.full_at = (self.full_at > at and self.full_at or at) + self.interval
  return at
end

return rate
