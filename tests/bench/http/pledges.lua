-- Pledges for wrk, each with a time-ordered key of its own. The campaign's id is the argument after "--".
local count, start, campaign, salt = 0, os.time() * 1000, nil, 0
local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("salt_of_thread", threads)
end

function init(arguments)
    campaign = arguments[1]
    math.randomseed(os.time() + salt_of_thread)
    salt = math.random(0, 0xffffff)
    wrk.method = "POST"
    wrk.body = '{"campaign_id":"' .. campaign .. '","amount":{"minor":2500,"currency":"EUR"},"payment_method":"pm_ok",' ..
        '"donor":{"name":"Ada Lovelace","email":"ada@example.org"}}'
    wrk.headers["Content-Type"] = "application/json"
end

function request()
    count = count + 1
    local ms = start + math.floor(count / 16)
    wrk.headers["Idempotency-Key"] = string.format("%08x-%04x-7%03x-8%03x-%06x%06x", math.floor(ms / 65536), ms % 65536,
        count % 4096, salt_of_thread % 4096, salt, count % 16777216)
    return wrk.format()
end

function done(summary)
    io.write(string.format("result %d %d %d\n", summary.requests, summary.duration,
        summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
