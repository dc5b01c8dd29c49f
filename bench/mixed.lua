-- Large requests among small ones, each kind timed on its own: one connection a thread, so that each answer belongs to
-- the request before it. The arguments: the small body's file, the large body's file, how many in a thousand are large,
-- and the mean pause of a client before each request, in milliseconds.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long sec; long nsec; } bench_time;
int clock_gettime(int clock, bench_time *time);
]]
local time = ffi.new("bench_time")

local function now()
  ffi.C.clock_gettime(1, time)
  return tonumber(time.sec) * 1e6 + tonumber(time.nsec) / 1e3
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

local threads = {}

function setup(thread)
  thread:set("seed", #threads + 1)
  table.insert(threads, thread)
end

function init(args)
  math.randomseed(seed)
  share, pause = tonumber(args[3]) / 1000, tonumber(args[4])
  local headers = { ["Content-Type"] = "application/json" }
  bodies = { wrk.format("POST", nil, headers, read(args[1])), wrk.format("POST", nil, headers, read(args[2])) }
  small, large, bad = {}, {}, 0
end

function delay()
  return math.floor(2 * pause * math.random() + 0.5)
end

function request()
  kind = math.random() < share and 2 or 1
  sent = now()
  return bodies[kind]
end

function response(status)
  local taken = now() - sent
  if status ~= 200 then bad = bad + 1 end
  table.insert(kind == 1 and small or large, taken)
end

local function quantile(values, q)
  if #values == 0 then return 0 end
  return values[math.max(1, math.ceil(#values * q))]
end

function done(summary)
  local all, failed = { small = {}, large = {} }, 0
  for _, thread in ipairs(threads) do
    failed = failed + thread:get("bad")
    for name, values in pairs(all) do
      for _, value in ipairs(thread:get(name)) do table.insert(values, value) end
    end
  end
  local parts = {}
  for name, values in pairs(all) do
    table.sort(values)
    table.insert(parts, string.format('"%s":{"count":%d,"p50":%.1f,"p99":%.1f,"p999":%.1f}', name, #values,
      quantile(values, 0.5), quantile(values, 0.99), quantile(values, 0.999)))
  end
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('\n{%s,"seconds":%.3f,"failed":%d}\n', table.concat(parts, ","), summary.duration / 1e6,
    failed + broken))
end
