// A relay of another make meets `posthouse-relay`. See README.md for how to run it.
//
// It tells what happens in lines of JSON, and is told what to do by lines of JSON on its standard input.

import './src/runtime.mjs'

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

const { Target, honest, refused, relayOf } = await import('./src/checks.mjs')
const { memberOf } = await import('./src/member.mjs')
const { checkVectors } = await import('./src/vectors.mjs')
const { itemName, CLASS } = await import('./src/records.mjs')
const { quic } = await import('./src/relay.mjs')

const { values: options } = parseArgs({
  options: {
    relay: { type: 'string', default: 'a.localhost' },
    'relay-url': { type: 'string' },
    domain: { type: 'string', default: 'js.localhost' },
    port: { type: 'string', default: '0' },
    capture: { type: 'string', default: 'captured' }
  }
})
if (options['relay-url'] === undefined) {
  process.stderr.write('usage: node main.mjs --relay DOMAIN --relay-url URL [--domain DOMAIN] [--port PORT] [--capture FOLDER]\n')
  process.exit(2)
}

const tell = (event, facts = {}) => process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`)
const target = new Target(options.relay, options['relay-url'], options.capture)
mkdirSync(target.capture, { recursive: true })

const relay = await relayOf(options.domain, target, Number(options.port))
// Whoever breaks a rule does it in a name of its own: misdeeds are remembered.
const breakers = await Promise.all(Object.keys(refused).map((_, i) => relayOf(`breaks-${i + 1}.${options.domain}`, target)))
let captured = 0

const taken = (envelope, container) => {
  captured += 1
  const file = join(target.capture, `relay-envelope-${captured}.cose`)
  writeFileSync(file, container)
  writeFileSync(join(target.capture, 'relay-manifest.cose'), relay.pins.get(envelope.origin))
  const items = envelope.items.map((item) => ({ name: itemName(item), bytes: item.toString('hex') }))
  tell('envelope', { from: envelope.origin, class: envelope.class, first: envelope.first, file, items })
}

const run = async (name, check, by) => {
  try {
    await check(target, by)
  } catch (error) {
    tell('failed', { check: name, why: error.stack })
    process.exit(1)
  }
  tell('passed', { check: name })
}

const commands = {
  /** The test vectors of the specification, without a relay. */
  vectors() {
    tell('vectors', checkVectors())
  },

  async check() {
    for (const [name, check] of Object.entries(honest)) await run(name, check, relay)
    for (const [i, [name, check]] of Object.entries(refused).entries()) await run(name, check, breakers[i])
    await Promise.all(breakers.map((one) => one.stop()))
    tell('checked', { checks: Object.keys(honest).length + breakers.length })
  },

  /** Somebody lives here from now on. */
  member({ member }) {
    relay.onKeys = memberOf(relay, member)
    tell('member', { alias: `${member.name}@${options.domain}` })
  },

  /** Sends items on a lane to the relay under test. */
  async send({ class: name, items }) {
    const lane = await target.lane(relay, { class: CLASS[name] })
    const ack = await relay.send(lane, relay.envelope(target.domain, lane, items.map((item) => Buffer.from(item, 'hex'))))
    await lane.frames.close()
    tell('acknowledged', { next: ack.next, refused: ack.refused.map(({ reason, detail }) => ({ reason, detail })) })
  },

  async stop() {
    await relay.stop()
    process.exit(0)
  }
}

relay.onEnvelope = taken
relay.onHello = (from, connection) => tell('hello', { from, address: connection.remoteAddr.toString() })
relay.trouble = (protocol, error) => process.stderr.write(`${protocol}: ${error.stack}\n`)

const overrides = Object.fromEntries([relay, ...breakers].map(({ identity }) => [identity.domain, identity.url]))
tell('ready', { overrides, transports: quic === undefined ? ['tcp'] : ['quic', 'tcp'] })

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  const action = commands[command.do]
  if (action === undefined) tell('unknown', { do: command.do, known: Object.keys(commands) })
  else await action(command)
}
await commands.stop()
