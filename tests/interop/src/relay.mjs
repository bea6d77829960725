// The relay: libp2p, hello in both directions, and the lanes (spec/relay-protocol.md, spec/envelope.md).

import { randomBytes } from 'node:crypto'

import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

import { Malformed } from './cbor.mjs'
import { LABELS, open, verify } from './cose.mjs'
import { Broken, fetchManifest, follow, listsNode } from './identity.mjs'
import * as wire from './records.mjs'

/** QUIC is native code, which is not built for every machine; without it this relay speaks TCP only. */
export const quic = await import('@chainsafe/libp2p-quic').then((found) => found.quic, () => undefined)

export const PROTOCOL = { hello: '/posthouse/hello/1', deliver: '/posthouse/deliver/1', keys: '/posthouse/keys/1' }
const LOWEST = 1
const VERSION = 2
const CREDIT = { items: 4096, bytes: 16_777_216 }
const PATIENCE_MS = 15_000

const patience = () => ({ signal: AbortSignal.timeout(PATIENCE_MS) })
const broken = ({ rule, detail }) => new Broken(wire.RULES[rule - 1], detail)

/** One stream with frames of two types. */
class Frames {
  constructor(stream) {
    this.stream = stream
    this.frames = lpStream(stream, { maxDataLength: wire.MAX_PEER_FRAME, maxBufferSize: 2 * wire.MAX_PEER_FRAME })
  }

  async read(type, options = patience()) {
    return wire.fromBytes(type, Buffer.from((await this.frames.read(options)).subarray()))
  }

  async write(type, value) {
    await this.frames.write(wire.toBytes(type, value), patience())
  }

  async close() {
    await this.stream.close(patience()).catch(() => {})
  }
}

/** A relay of its own. It finds others through `overrides`, a map from domain to base URL. */
export class Relay {
  constructor(identity, overrides) {
    this.identity = identity
    this.overrides = overrides
    this.pins = new Map()
    this.sessions = new Map()
    this.lanes = new Map()
    /** Called with each envelope that was taken: `(envelope record, container)`. */
    this.onEnvelope = () => {}
    /** Called with each hello that a peer said on a connection of its own. */
    this.onHello = () => {}
    /** Answers a `keys-request` of a domain. */
    this.onKeys = () => ({ no: { reason: 11, detail: 'nobody lives here' } })
  }

  static async start(identity, overrides = new Map()) {
    const relay = new Relay(identity, overrides)
    relay.node = await createLibp2p({
      privateKey: await generateKeyPairFromSeed('Ed25519', identity.node.seed),
      addresses: { listen: [...(quic ? ['/ip4/127.0.0.1/udp/0/quic-v1'] : []), '/ip4/127.0.0.1/tcp/0'] },
      transports: [...(quic ? [quic()] : []), tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()]
    })
    const serve = (protocol, handler) => relay.node.handle(protocol, async (stream, connection) => {
      const frames = new Frames(stream)
      // A peer that goes away in the middle is no fault of anybody.
      await handler.call(relay, frames, connection).catch((error) => relay.trouble?.(protocol, error))
      await frames.close()
    })
    await serve(PROTOCOL.hello, relay.hearHello)
    await serve(PROTOCOL.deliver, relay.takeLane)
    await serve(PROTOCOL.keys, relay.answerKeys)
    return relay
  }

  /** Where it listens, without its PeerId. */
  listening(transport) {
    return this.node.getMultiaddrs().map(String).filter((address) => address.includes(`/${transport}/`)).map((address) => address.split('/p2p/')[0])
  }

  async dial(address) {
    return this.node.dial(multiaddr(address), patience())
  }

  async open(connection, protocol) {
    return new Frames(await connection.newStream(protocol, patience()))
  }

  helloTo(domain) {
    const cursors = [...this.lanes.values()].filter((lane) => lane.origin === domain)
    return {
      minVersion: LOWEST, maxVersion: VERSION, manifest: this.identity.manifest, now: Date.now(),
      cursors: cursors.map(({ class: number, incarnation, next }) => ({ class: number, incarnation, next }))
    }
  }

  /** Says hello, with changes, and checks the answer; a refusal is thrown by its rule. */
  async sayHello(connection, domain, changes = {}) {
    const frames = await this.open(connection, PROTOCOL.hello)
    await frames.write(wire.hello, { ...this.helloTo(domain), ...changes })
    const answer = await frames.read(wire.helloResponse)
    await frames.close()
    if (answer.refused !== undefined) throw broken(answer.refused)
    const session = await this.check(answer.hello, connection)
    if (session.domain !== domain) throw new Broken('not-a-node', `${session.domain} answers for ${domain}`)
    return answer.hello
  }

  async hearHello(frames, connection) {
    try {
      const hello = await frames.read(wire.hello)
      const session = await this.check(hello, connection)
      await frames.write(wire.helloResponse, { hello: this.helloTo(session.domain) })
      this.onHello(session.domain, connection)
    } catch (error) {
      const rule = error instanceof Broken ? error.rule : error instanceof Malformed ? 'malformed-frame' : undefined
      if (rule === undefined) throw error
      await frames.write(wire.helloResponse, { refused: { rule: wire.RULES.indexOf(rule) + 1, detail: error.message.slice(0, 512) } })
    }
  }

  /** The checks of a hello in the order of the specification. */
  async check(hello, connection) {
    const claimed = wire.fromBytes(wire.manifest, open(hello.manifest).payload).domain
    if (Math.max(hello.minVersion, LOWEST) > Math.min(hello.maxVersion, VERSION)) throw new Broken('no-common-version', `${hello.minVersion} to ${hello.maxVersion}`)
    if (Math.abs(Date.now() - hello.now) > wire.MAX_CLOCK_SKEW_MS) throw new Broken('clock-skew', 'set the clock that is wrong')
    const said = this.sessions.get(connection.id)
    if (said !== undefined && said.domain !== claimed) throw new Broken('out-of-turn', `${said.domain} has said hello here`)
    // Its own signature first: nobody is looked up on the word of somebody who can write a domain.
    follow(claimed, hello.manifest)
    if (!this.pins.has(claimed)) await this.pin(claimed)
    const manifest = follow(claimed, hello.manifest, this.pins.get(claimed))
    this.pins.set(claimed, hello.manifest)
    const key = connection.remotePeer.publicKey?.raw
    if (key === undefined || !listsNode(manifest, key)) throw new Broken('not-a-node', connection.remotePeer.toString())
    const session = { domain: claimed, manifest }
    this.sessions.set(connection.id, session)
    return session
  }

  async pin(domain) {
    const base = this.overrides.get(domain)
    if (base === undefined) throw new Broken('unknown-domain', domain)
    const found = await fetchManifest(base)
    follow(domain, found)
    this.pins.set(domain, found)
  }

  /** Opens a lane to the relay that said hello on this connection. */
  async openLane(connection, lane) {
    const frames = await this.open(connection, PROTOCOL.deliver)
    const opening = { class: wire.CLASS.messages, incarnation: randomBytes(16), oldest: 1, ...lane }
    await frames.write(wire.deliverFrame, { open: opening })
    const answer = await frames.read(wire.receiptFrame)
    if (answer.refused !== undefined) throw broken(answer.refused)
    return { frames, ...opening, ...answer.resume }
  }

  /** A signed envelope of this relay for a lane, with changes. */
  envelope(destination, lane, items, changes = {}, signer = this.identity.node) {
    const record = {
      version: 1, origin: this.identity.domain, destination, class: lane.class, incarnation: lane.incarnation, first: lane.next,
      created: Date.now(), items, ...changes
    }
    return signer.sign(LABELS.envelope, wire.toBytes(wire.envelope, record))
  }

  /** Sends an envelope and takes the acknowledgement; a refusal is thrown by its rule. */
  async send(lane, container) {
    await lane.frames.write(wire.deliverFrame, { envelope: container })
    const answer = await lane.frames.read(wire.receiptFrame)
    if (answer.refused !== undefined) throw broken(answer.refused)
    lane.next = answer.ack.next
    return answer.ack
  }

  /** The destination's side of a lane. */
  async takeLane(frames, connection) {
    try {
      const session = this.sessions.get(connection.id)
      if (session === undefined) throw new Broken('no-hello', 'hello first')
      const { open: opening } = await frames.read(wire.deliverFrame)
      if (opening === undefined) throw new Broken('out-of-turn', 'the lane has to be named first')
      const name = `${session.domain} ${opening.class} ${opening.incarnation.toString('hex')}`
      const lane = this.lanes.get(name) ?? { origin: session.domain, class: opening.class, incarnation: opening.incarnation, next: 1 }
      this.lanes.set(name, lane)
      await frames.write(wire.receiptFrame, { resume: { next: lane.next, credit: CREDIT } })
      for (;;) {
        const { envelope } = await frames.read(wire.deliverFrame, {})
        if (envelope === undefined) throw new Broken('out-of-turn', 'the lane was named a second time')
        this.take(lane, session, envelope)
        await frames.write(wire.receiptFrame, { ack: { next: lane.next, refused: [], credit: CREDIT } })
      }
    } catch (error) {
      const rule = error instanceof Broken ? error.rule : error instanceof Malformed ? 'malformed-frame' : undefined
      if (rule === undefined) throw error
      await frames.write(wire.receiptFrame, { refused: { rule: wire.RULES.indexOf(rule) + 1, detail: error.message.slice(0, 512) } })
    }
  }

  /** The checks of an envelope in the order of the specification; memory is this relay's store. */
  take(lane, session, container) {
    const { kid, payload } = open(container)
    const record = wire.fromBytes(wire.envelope, payload)
    const need = (holds, rule) => {
      if (!holds) throw new Broken(rule, `an envelope from ${session.domain}`)
    }
    need(record.origin === session.domain, 'forged-origin')
    need(listsNode(session.manifest, kid), 'envelope-signature')
    try {
      verify(LABELS.envelope, container, kid)
    } catch (error) {
      throw new Broken('envelope-signature', error.message)
    }
    need(record.version === 1, 'no-common-version')
    need(record.destination === this.identity.domain, 'wrong-destination')
    need(record.class === lane.class && record.incarnation.equals(lane.incarnation), 'wrong-lane')
    need(record.first <= lane.next, 'sequence-gap')
    const end = record.first + record.items.length
    const fresh = record.items.slice(Math.max(0, lane.next - record.first))
    lane.next = Math.max(lane.next, end)
    this.onEnvelope({ ...record, items: fresh }, container)
  }

  async answerKeys(frames, connection) {
    const session = this.sessions.get(connection.id)
    if (session === undefined) {
      await frames.write(wire.keysResponse, { refused: { rule: wire.RULES.indexOf('no-hello') + 1, detail: 'hello first' } })
      return
    }
    const request = await frames.read(wire.keysRequest)
    await frames.write(wire.keysResponse, this.onKeys(session, request))
  }

  async stop() {
    await this.node.stop()
    this.identity.close()
  }
}
