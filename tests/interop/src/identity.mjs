// Who a relay is: its keys, its chain of manifests, and how another one's is followed (spec/identity.md).

import { createServer } from 'node:http'

import { Key, LABELS, open, same, sha256, verify } from './cose.mjs'
import { fromBytes, manifest as manifestType, toBytes } from './records.mjs'

export const WELL_KNOWN = '/.well-known/posthouse/manifest'
const MEDIA_TYPE = 'application/cose; cose-type="cose-sign1"'
const DAY_MS = 86_400_000

/** A rule that a peer broke, by its name in spec/relay-protocol.md. */
export class Broken extends Error {
  constructor(rule, detail) {
    super(`${rule}: ${detail}`)
    this.rule = rule
    this.detail = detail
  }
}

/** A relay's keys and manifests, and the web server that publishes the newest. */
export class Identity {
  constructor(domain) {
    this.domain = domain
    this.root = new Key()
    this.nextRoot = new Key()
    this.ordering = new Key()
    this.node = new Key()
    this.addresses = []
    this.url = ''
  }

  static async publish(domain, port = 0) {
    const identity = new Identity(domain)
    identity.server = createServer((request, response) => {
      const found = request.url === WELL_KNOWN
      response.writeHead(found ? 200 : 404, { 'content-type': found ? MEDIA_TYPE : 'text/plain' })
      response.end(found ? identity.manifest : 'no such page')
    })
    await new Promise((resolve) => identity.server.listen(port, '127.0.0.1', resolve))
    identity.url = `http://127.0.0.1:${identity.server.address().port}`
    identity.manifest = identity.sign({})
    return identity
  }

  /** What this relay says of itself now, with changes, signed by `root`. */
  sign(changes, root = this.root) {
    const said = {
      domain: this.domain, seq: 1, root: root.public, nextRoot: sha256(this.nextRoot.public), ordering: this.ordering.public,
      nodes: [{ key: this.node.public, notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS }],
      addresses: this.addresses, clientUrl: this.url, created: Date.now(), ...changes
    }
    return root.sign(LABELS.manifest, toBytes(manifestType, said))
  }

  /** The manifest that comes after the published one; the first has no lineage, and is the lineage of the others. */
  following(changes, root = this.root) {
    const { payload } = open(this.manifest)
    const last = fromBytes(manifestType, payload)
    const lineage = last.lineage ?? sha256(payload)
    return this.sign({ seq: last.seq + 1, previous: sha256(payload), lineage, ...changes }, root)
  }

  close() {
    this.server.closeAllConnections()
    this.server.close()
  }
}

/** Whether a manifest is believed: by itself, and as what follows the pinned one. Gives its record. */
export function follow(domain, container, pinned) {
  const found = believed(container)
  const chain = (holds, detail) => {
    if (!holds) throw new Broken(detail === 'equivocation' ? detail : 'manifest-chain', detail)
  }
  chain(found.domain === domain, 'wrong-domain')
  const first = found.seq === 1
  chain(first === (found.previous === undefined) && first === (found.lineage === undefined) && found.seq > 0, 'bad-form')
  if (pinned === undefined) return found
  const before = believed(pinned)
  const lineageOf = (record, bytes) => record.lineage ?? sha256(open(bytes).payload)
  chain(found.seq >= before.seq, 'rolled-back')
  const [later, sameRoot] = [found.seq > before.seq, same(found.root, before.root)]
  chain(later || !sameRoot || same(open(container).payload, open(pinned).payload), 'equivocation')
  chain(same(lineageOf(found, container), lineageOf(before, pinned)), 'other-lineage')
  chain(sameRoot || (later && same(sha256(found.root), before.nextRoot)), 'root-changed')
  chain(found.seq !== before.seq + 1 || same(found.previous, sha256(open(pinned).payload)), 'previous-hash')
  return found
}

function believed(container) {
  try {
    const record = fromBytes(manifestType, open(container).payload)
    verify(LABELS.manifest, container, record.root)
    return record
  } catch (error) {
    throw new Broken('manifest-signature', error.message)
  }
}

/** Whether a manifest lists a node key now. */
export function listsNode(record, key) {
  const now = Date.now()
  return record.nodes.some((node) => same(node.key, key) && node.notBefore <= now && now <= node.notAfter)
}

/** A manifest from its well-known place. */
export async function fetchManifest(base) {
  const response = await fetch(new URL(WELL_KNOWN, base), { redirect: 'error', signal: AbortSignal.timeout(8000) })
  if (!response.ok) throw new Broken('unknown-domain', `${base} answered ${response.status}`)
  return Buffer.from(await response.arrayBuffer())
}
