# A client by Ruby's net-ssh; README.md says what it does and prints.

require "net/ssh"
require "securerandom"

CHANNELS = 20

port, login, method, secret, target, action, number = ARGV
HOST, _, TARGET_PORT = target.rpartition(":")
number = number.to_i
$stdout.sync = true

options = {
  port: port.to_i, config: false, non_interactive: true, use_agent: false,
  verify_host_key: :never, keepalive: action == "idle", keepalive_interval: 1,
}
options.update(
  if method == "key"
    { keys: [secret], keys_only: true, auth_methods: ["publickey"] }
  else
    { password: secret, keys: [], auth_methods: ["password"] }
  end
)

# Opens a channel to the target; the block gets it once it is open.
def open(session, &block)
  channel = session.open_channel(
    "direct-tcpip", :string, HOST, :long, TARGET_PORT.to_i, :string, "127.0.0.1", :long, 1, &block
  )
  channel.on_open_failed { |_, _, description| puts description }
  channel
end

# Sends bytes, half-closes, and expects them back to the end.
def exchange(session, size)
  payload = SecureRandom.bytes(size)
  received = String.new
  open(session) do |channel|
    channel.on_data { |_, data| received << data }
    channel.on_eof { channel.close }
    channel.send_data(payload)
    channel.eof!
  end
  session.loop
  received == payload ? "whole" : "#{received.bytesize} of #{size} bytes"
end

# Sends 1,000 bytes and awaits them back, many times on each channel.
def many(session, rounds)
  answers = Array.new(CHANNELS) do
    state = { round: 0, got: String.new, answer: "the end came early" }
    open(session) do |channel|
      ask = -> { channel.send_data((state[:round] % 256).chr * 1000) }
      channel.on_data do |_, data|
        state[:got] << data
        next if state[:got].bytesize < 1000
        state[:answer] = "round #{state[:round]}"
        next channel.close if state[:got] != (state[:round] % 256).chr * 1000
        state[:got].clear
        state[:round] += 1
        next ask.call if state[:round] < rounds
        state[:answer] = "whole"
        channel.eof!
      end
      channel.on_eof { channel.close }
      ask.call
    end
    state
  end
  session.loop
  answers.map { |state| state[:answer] }.find { |answer| answer != "whole" } || "whole"
end

Net::SSH.start("127.0.0.1", login, options) do |session|
  case action
  when "move"
    puts exchange(session, number)
  when "many"
    puts many(session, number)
  when "refused"
    open(session) { puts "it is open" }
    session.loop
  when "idle"
    until_then = Process.clock_gettime(Process::CLOCK_MONOTONIC) + number / 1000.0
    session.loop(0.1) { Process.clock_gettime(Process::CLOCK_MONOTONIC) < until_then }
    puts exchange(session, 1000)
  when "close"
    open(session) do |channel|
      channel.send_data("\0" * number)
      channel.close
    end
    session.loop
    puts "closed"
  else
    open(session) { puts "open" }
    session.loop { true }
  end
end
