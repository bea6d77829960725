// What is checked against a real relay: each check is a name and a story that throws where it does not hold.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { encode } from './cbor.mjs'
import { Key, sha256 } from './cose.mjs'
import { Broken, Identity, fetchManifest, follow } from './identity.mjs'
import * as wire from './records.mjs'
import { PROTOCOL, Relay, quic } from './relay.mjs'

const ROOM = Buffer.alloc(32, 9)
const DAY_MS = 86_400_000
/** How long the relay may take to send something of its own accord. */
const PATIENCE_MS = 30_000

/** The relay under test, as this program finds it. */
export class Target {
  constructor(domain, url, capture) {
    Object.assign(this, { domain, url, capture, overrides: new Map([[domain, url]]) })
  }

  /** Its address for a transport, from its manifest; the PeerId is checked at hello. */
  async address(transport) {
    const { addresses } = follow(this.domain, await fetchManifest(this.url))
    const found = addresses.find((address) => address.includes(`/${transport}/`))
    assert(found, `${this.domain} announces no address for ${transport}: ${addresses}`)
    return found
  }

  async connect(relay, transport = 'tcp') {
    return relay.dial(await this.address(transport))
  }

  /** A connection on which hello went well, and a lane on it. */
  async lane(relay, lane = {}) {
    const connection = await this.connect(relay)
    await relay.sayHello(connection, this.domain)
    return relay.openLane(connection, lane)
  }
}

const item = (relay, epoch = 1) => wire.epochEnd(ROOM, relay.identity.domain, epoch)

async function breaks(rule, action) {
  const broken = await action.then(() => undefined, (error) => error)
  assert(broken instanceof Broken, `expected ${rule}, got ${broken?.stack ?? 'no refusal'}`)
  assert.equal(broken.rule, rule, broken.message)
}

/** Checks of a relay that keeps the rules, in this order, with one relay. */
export const honest = {
  async 'hello over tcp'(target, relay) {
    const connection = await target.connect(relay, 'tcp')
    const hello = await relay.sayHello(connection, target.domain)
    assert(hello.minVersion === 1 && hello.maxVersion === 2)
    writeFileSync(join(target.capture, 'relay-manifest.cose'), hello.manifest)
    writeFileSync(join(target.capture, 'js-manifest.cose'), relay.identity.manifest)
    await connection.close()
  },

  async 'hello over quic'(target, relay) {
    const connection = await target.connect(relay, 'udp')
    await relay.sayHello(connection, target.domain)
    await connection.close()
  },

  async 'a hello with extensions is taken'(target, relay) {
    const connection = await target.connect(relay)
    const extensions = [[-900, ['unheard of', 1.5, null, new Map([[1, Buffer.alloc(3)]])]], [-901, true]]
    relay.identity.manifest = relay.identity.following({ extensions })
    await relay.sayHello(connection, target.domain, { extensions })
    await connection.close()
  },

  async 'an envelope is acknowledged, and a repeat changes nothing'(target, relay) {
    const lane = await target.lane(relay)
    assert.equal(lane.next, 1)
    assert(lane.credit.items > 0 && lane.credit.bytes > 0)
    const container = relay.envelope(target.domain, lane, [item(relay)])
    writeFileSync(join(target.capture, 'js-envelope.cose'), container)
    for (let attempt = 0; attempt < 2; attempt++) {
      const ack = await relay.send(lane, container)
      assert.equal(ack.next, 2)
      assert.deepEqual(ack.refused, [])
    }
    const more = await relay.send(lane, relay.envelope(target.domain, lane, [item(relay, 2), item(relay, 3)]))
    assert.equal(more.next, 4)
    await lane.frames.close()
    target.used = lane
  },

  async 'the lane goes on where it stood, and hello says where'(target, relay) {
    const connection = await target.connect(relay)
    const hello = await relay.sayHello(connection, target.domain)
    const { incarnation } = target.used
    const cursor = hello.cursors.find((one) => one.incarnation.equals(incarnation))
    assert.deepEqual(cursor, { class: wire.CLASS.messages, incarnation, next: 4 })
    const lane = await relay.openLane(connection, { incarnation, oldest: 4 })
    assert.equal(lane.next, 4)
    await connection.close()
  },

  async 'an item that nobody understands is taken off, and the lane goes on'(target, relay) {
    for (const name of ['messages', 'control']) {
      const lane = await target.lane(relay, { class: wire.CLASS[name] })
      const unheardOf = encode([900, new Map()])
      const ack = await relay.send(lane, relay.envelope(target.domain, lane, [unheardOf, Buffer.from([0xff])]))
      assert.equal(ack.next, 3, name)
      const invalid = wire.ITEM_REFUSALS.indexOf('invalid-item') + 1
      assert.deepEqual(ack.refused.map(({ seq, reason }) => ({ seq, reason })), [{ seq: 1, reason: invalid }, { seq: 2, reason: invalid }], name)
      await lane.frames.close()
    }
  },

  async 'a canary comes back'(target, relay) {
    const [nonce, before] = [randomBytes(16), relay.onEnvelope]
    const back = new Promise((resolve, reject) => {
      setTimeout(reject, PATIENCE_MS, new Error('no answer to the canary')).unref()
      relay.onEnvelope = (envelope, container) => {
        before(envelope, container)
        if (envelope.items.some((item) => item.equals(wire.canary(nonce, true)))) resolve(envelope.class)
      }
    })
    const lane = await target.lane(relay, { class: wire.CLASS.control })
    const ack = await relay.send(lane, relay.envelope(target.domain, lane, [wire.canary(nonce, false)]))
    assert.deepEqual(ack.refused, [])
    assert.equal(await back, wire.CLASS.control)
    relay.onEnvelope = before
    await lane.frames.close()
  },

  async 'a new root that was announced is followed'(target, relay) {
    const { identity } = relay
    const next = identity.nextRoot
    const following = { root: next.public, nextRoot: sha256(new Key().public) }
    identity.manifest = identity.following(following, next)
    identity.root = next
    const connection = await target.connect(relay)
    await relay.sayHello(connection, target.domain)
    await connection.close()
  }
}

if (quic === undefined) delete honest['hello over quic']

/** A relay that has said hello once, so that its manifest is pinned. */
async function known(target, relay) {
  const connection = await target.connect(relay)
  await relay.sayHello(connection, target.domain)
  await connection.close()
}

async function helloBreaks(target, relay, rule, changes) {
  const connection = await target.connect(relay)
  await breaks(rule, relay.sayHello(connection, target.domain, changes))
  await connection.close().catch(() => {})
}

async function envelopeBreaks(target, relay, rule, changes, signer) {
  const lane = await target.lane(relay)
  await breaks(rule, relay.send(lane, relay.envelope(target.domain, lane, [item(relay)], changes, signer)))
}

/** Checks of a relay that breaks a rule, each with a relay and a domain of its own. */
export const refused = {
  async 'manifest-signature: one byte of the signature is another'(target, relay) {
    const manifest = Buffer.from(relay.identity.manifest)
    manifest[manifest.length - 1] ^= 1
    await helloBreaks(target, relay, 'manifest-signature', { manifest })
  },

  async 'manifest-signature: one byte of the payload is another'(target, relay) {
    const manifest = Buffer.from(relay.identity.manifest)
    manifest[manifest.indexOf(relay.identity.url) + 'http://'.length] ^= 1
    await helloBreaks(target, relay, 'manifest-signature', { manifest })
  },

  async 'not-a-node: the manifest lists another node'(target, relay) {
    const key = new Key().public
    const nodes = [{ key, notBefore: 0, notAfter: Date.now() + DAY_MS }]
    relay.identity.manifest = relay.identity.sign({ nodes })
    await helloBreaks(target, relay, 'not-a-node', {})
  },

  async 'not-a-node: the time of the node is over'(target, relay) {
    const nodes = [{ key: relay.identity.node.public, notBefore: 0, notAfter: Date.now() - DAY_MS }]
    relay.identity.manifest = relay.identity.sign({ nodes })
    await helloBreaks(target, relay, 'not-a-node', {})
  },

  async 'manifest-chain: the next manifest is of a root that nobody announced'(target, relay) {
    await known(target, relay)
    const thief = new Key()
    const manifest = relay.identity.following({ root: thief.public }, thief)
    await helloBreaks(target, relay, 'manifest-chain', { manifest })
  },

  async 'manifest-chain: the next manifest names another one before it'(target, relay) {
    await known(target, relay)
    const manifest = relay.identity.following({ previous: randomBytes(32) })
    await helloBreaks(target, relay, 'manifest-chain', { manifest })
  },

  async 'equivocation: another manifest of the same position'(target, relay) {
    await known(target, relay)
    const manifest = relay.identity.sign({ clientUrl: 'http://127.0.0.1:1' })
    await helloBreaks(target, relay, 'equivocation', { manifest })
  },

  async 'manifest-chain: the same, told to a relay of version 1 in the words that it has'(target, relay) {
    await known(target, relay)
    const manifest = relay.identity.sign({ clientUrl: 'http://127.0.0.1:1' })
    await helloBreaks(target, relay, 'manifest-chain', { manifest, maxVersion: 1 })
  },

  async 'manifest-chain: an older manifest than the pinned one'(target, relay) {
    const first = relay.identity.manifest
    relay.identity.manifest = relay.identity.following({})
    await known(target, relay)
    await helloBreaks(target, relay, 'manifest-chain', { manifest: first })
  },

  async 'unknown-domain: a domain that nobody can look up'(target, relay) {
    const stranger = new Identity('nowhere.localhost')
    Object.assign(stranger, { node: relay.identity.node, url: 'http://127.0.0.1:1' })
    await helloBreaks(target, relay, 'unknown-domain', { manifest: stranger.sign({}) })
  },

  async 'clock-skew: a clock that is a day ahead'(target, relay) {
    await helloBreaks(target, relay, 'clock-skew', { now: Date.now() + DAY_MS })
  },

  async 'no-common-version: versions that nobody speaks'(target, relay) {
    await helloBreaks(target, relay, 'no-common-version', { minVersion: 900, maxVersion: 901 })
  },

  async 'malformed-frame: a critical field that nobody knows'(target, relay) {
    await helloBreaks(target, relay, 'malformed-frame', { extensions: [[77, 1]] })
  },

  async 'no-hello: a lane before hello'(target, relay) {
    await breaks('no-hello', relay.openLane(await target.connect(relay), {}))
  },

  async 'no-hello: a question about accounts before hello'(target, relay) {
    const frames = await relay.open(await target.connect(relay), PROTOCOL.keys)
    await frames.write(wire.keysRequest, { alias: 'alice' })
    const { refused: refusal } = await frames.read(wire.keysResponse)
    assert.equal(wire.RULES[refusal?.rule - 1], 'no-hello')
  },

  async 'forged-origin: an envelope in the name of another relay'(target, relay) {
    await envelopeBreaks(target, relay, 'forged-origin', { origin: 'b.localhost' })
  },

  async 'envelope-signature: an envelope signed by a key that is no node'(target, relay) {
    await envelopeBreaks(target, relay, 'envelope-signature', {}, new Key())
  },

  async 'envelope-signature: an envelope with a byte changed'(target, relay) {
    const lane = await target.lane(relay)
    const container = Buffer.from(relay.envelope(target.domain, lane, [item(relay)]))
    container[container.length - 1] ^= 1
    await breaks('envelope-signature', relay.send(lane, container))
  },

  async 'wrong-destination: an envelope for another relay'(target, relay) {
    await envelopeBreaks(target, relay, 'wrong-destination', { destination: 'b.localhost' })
  },

  async 'wrong-lane: an envelope of another incarnation'(target, relay) {
    await envelopeBreaks(target, relay, 'wrong-lane', { incarnation: randomBytes(16) })
  },

  async 'sequence-gap: an envelope ahead of the cursor'(target, relay) {
    await envelopeBreaks(target, relay, 'sequence-gap', { first: 5 })
  },

  async 'malformed-frame: an envelope that is no container'(target, relay) {
    const lane = await target.lane(relay)
    await breaks('malformed-frame', relay.send(lane, Buffer.from([0x83, 0, 0, 0])))
  },

  async 'wrong-item: an item of another lane'(target, relay) {
    const lane = await target.lane(relay, { class: wire.CLASS.control })
    await breaks('wrong-item', relay.send(lane, relay.envelope(target.domain, lane, [item(relay)])))
  }
}

/** A relay for a check. */
export async function relayOf(domain, target, port = 0) {
  const identity = await Identity.publish(domain, port)
  const relay = await Relay.start(identity, target.overrides)
  identity.addresses = [...relay.listening('udp'), ...relay.listening('tcp')]
  identity.manifest = identity.sign({})
  return relay
}
