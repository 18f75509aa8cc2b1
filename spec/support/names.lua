-- A name server for specs, run by luajit as a program of its own: prints its port, answers until its input ends.
-- The address of mail.example.test is 127.0.0.1, mute.example.test gets no answer, all other names do not exist.
local ffi = require "ffi"
ffi.cdef [[
  struct address { uint16_t family, port; uint8_t host[4]; uint8_t zero[8]; };
  struct pollfd { int fd; short events, revents; };
  int socket(int, int, int);
  int bind(int, const struct address *, unsigned);
  int getsockname(int, struct address *, unsigned *);
  int poll(struct pollfd *, unsigned long, int);
  long recvfrom(int, void *, size_t, int, struct address *, unsigned *);
  long sendto(int, const void *, size_t, int, const struct address *, unsigned);
]]
local C = ffi.C

local udp = C.socket(2, 2, 0)
local address, size = ffi.new("struct address", { 2, 0, { 127, 0, 0, 1 } }), ffi.new("unsigned[1]", 16)
assert(C.bind(udp, address, 16) == 0 and C.getsockname(udp, address, size) == 0)
local port = ffi.cast("uint8_t *", address) + 2
io.write(port[0] * 256 + port[1], "\n")
io.flush()

-- The answer to one query: its header and question again, and the address for a question of type A.
local function answer(query)
  local labels, at = {}, 13
  while query:byte(at) > 0 do
    labels[#labels + 1] = query:sub(at + 1, at + query:byte(at))
    at = at + 1 + query:byte(at)
  end
  local name, question = table.concat(labels, "."), query:sub(13, at + 4)
  if name == "mute.example.test" then return nil end
  local known = name == "mail.example.test"
  local found = known and query:sub(at + 1, at + 2) == "\0\1"
  local head = query:sub(1, 2) .. "\129" .. (known and "\128" or "\131") .. "\0\1\0" .. (found and "\1" or "\0")
    .. "\0\0\0\0"
  return head .. question .. (found and "\192\12\0\1\0\1\0\0\0\1\0\4\127\0\0\1" or "")
end

local waits = ffi.new("struct pollfd[2]", { { 0, 1 }, { udp, 1 } })
local room, peer = ffi.new "uint8_t[512]", ffi.new "struct address"
while C.poll(waits, 2, -1) > 0 and waits[0].revents == 0 do
  size[0] = 16
  local n = C.recvfrom(udp, room, 512, 0, peer, size)
  local reply = n > 12 and answer(ffi.string(room, n))
  if reply then C.sendto(udp, reply, #reply, 0, peer, 16) end
end
