//! From the store and the running federation to what the operator is told.

use std::collections::{BTreeMap, BTreeSet};

use posthouse_crypto::manifest::{follow, lineage};
use posthouse_crypto::sha256;
use posthouse_federation::{ConductStatus, PeerStatus, Treatment, peer_id};
use posthouse_spec::{Domain, Millis, Signed};

use super::facts::{
    Arrived, Backlog, Broken, Changed, Conduct, Detail, Evidence, LastHello, NodeKey, OwnRule, Pinned,
    RestoredLane, State, Summary,
};
use super::rules::{Rules, Standing};
use crate::store::{Departing, Store, StoreError};

/// What is asked: a store, the rules over it, and what the federation knows where the relay runs.
pub struct Desk<'a> {
    /// The store.
    pub store: &'a Store,
    /// The rules.
    pub rules: &'a Rules,
    /// What a running federation knows; none where the relay does not run.
    pub live: Option<Vec<PeerStatus>>,
    /// The time.
    pub now: Millis,
}

impl Desk<'_> {
    /// All relays of which anything is known, by domain.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self) -> Result<Vec<Summary>, StoreError> {
        let mut domains: BTreeSet<Domain> = self.store.known_relays().await?.into_iter().collect();
        domains.extend(self.live.iter().flatten().map(|status| status.domain.clone()));
        domains.remove(self.store.domain());
        let mut lanes: BTreeMap<Domain, Vec<Departing>> = BTreeMap::new();
        for lane in self.store.departing().await? {
            lanes.entry(lane.peer.clone()).or_default().push(lane);
        }
        let mut all = Vec::with_capacity(domains.len());
        for domain in domains {
            let standing = self.rules.standing(&domain).await?;
            let waiting = lanes.remove(&domain).unwrap_or_default();
            all.push(self.summary(&domain, &standing, &waiting));
        }
        Ok(all)
    }

    /// Everything about one relay; nothing where none of that name is known.
    ///
    /// # Errors
    /// The store failed.
    pub async fn show(&self, domain: &Domain) -> Result<Option<Detail>, StoreError> {
        let known = self.store.known_relays().await?.contains(domain) || self.status(domain).is_some();
        if !known || domain == self.store.domain() {
            return Ok(None);
        }
        let standing = self.rules.standing(domain).await?;
        let arrived = self.store.arriving().await?.into_iter().filter(|lane| lane.origin == *domain);
        Ok(Some(Detail {
            summary: self.summary(domain, &standing, &self.departing(domain).await?),
            permitted: standing.permitted,
            policy: standing.policy.to_owned(),
            manifest: self.pinned(domain).await?,
            hello: self.status(domain).and_then(|status| status.meeting).map(|met| LastHello {
                at: met.at.0,
                min_version: met.versions.0,
                max_version: met.versions.1,
                ahead_ms: met.ahead_ms(),
            }),
            arrived: arrived
                .map(|lane| Arrived {
                    class: lane.class.name().to_owned(),
                    items: lane.items,
                    last: lane.last.0,
                })
                .collect(),
            restored: self.status(domain).and_then(|status| status.restored).map(|lane| RestoredLane {
                class: lane.class.name().to_owned(),
                whose: lane.whose.name().to_owned(),
                found: lane.found.0,
            }),
            evidence: self.evidence(domain).await?,
            conduct: self.status(domain).and_then(|status| status.conduct.as_ref()).map(conduct),
        }))
    }

    /// How it stands with a domain whose rule was changed.
    ///
    /// # Errors
    /// The store failed.
    pub async fn changed(&self, domain: &Domain) -> Result<Changed, StoreError> {
        let standing = self.rules.standing(domain).await?;
        Ok(Changed {
            domain: domain.to_string(),
            permitted: standing.permitted,
            rule: own_rule(&standing),
            policy: standing.policy.to_owned(),
            waiting: self.departing(domain).await?.iter().map(|lane| lane.waiting).sum(),
        })
    }

    /// The lanes to one relay.
    ///
    /// # Errors
    /// The store failed.
    pub async fn departing(&self, domain: &Domain) -> Result<Vec<Departing>, StoreError> {
        let mut lanes = self.store.departing().await?;
        lanes.retain(|lane| lane.peer == *domain);
        Ok(lanes)
    }

    /// What a running federation knows of one relay.
    #[must_use]
    pub fn status(&self, domain: &Domain) -> Option<&PeerStatus> {
        self.live.iter().flatten().find(|status| status.domain == *domain)
    }

    fn summary(&self, domain: &Domain, standing: &Standing, lanes: &[Departing]) -> Summary {
        let status = self.status(domain);
        let lanes = lanes.iter().filter(|lane| lane.waiting > 0);
        Summary {
            domain: domain.to_string(),
            state: self.state(standing, status),
            rule: own_rule(standing),
            backlog: lanes
                .map(|lane| Backlog {
                    class: lane.class.name().to_owned(),
                    items: lane.waiting,
                    oldest_ms: lane.oldest.map(|at| self.now.0.saturating_sub(at.0)),
                })
                .collect(),
            last_error: status.and_then(|status| status.last_error.clone()),
        }
    }

    fn state(&self, standing: &Standing, status: Option<&PeerStatus>) -> State {
        let waiting = |at: Millis| (at > self.now).then_some(State::Waiting { until: at.0 });
        match (&self.live, status) {
            _ if !standing.permitted => State::Denied,
            (None, _) => State::NotRunning,
            (
                _,
                Some(PeerStatus {
                    conduct: Some(ConductStatus { treatment: Treatment::CutOff(until), .. }),
                    ..
                }),
            ) => State::CutOff { until: until.0 },
            (_, Some(PeerStatus { connected: true, way, .. })) => State::Connected {
                via: way.as_ref().map_or("unknown", |way| way.via).to_owned(),
                address: way.as_ref().map(|way| way.address.clone()).unwrap_or_default(),
                called: if way.as_ref().is_some_and(|way| way.inbound) { "them" } else { "us" }.to_owned(),
            },
            (_, Some(status)) => status.retry_at.and_then(waiting).unwrap_or(State::Idle),
            (_, None) => State::Idle,
        }
    }

    async fn pinned(&self, domain: &Domain) -> Result<Option<Pinned>, StoreError> {
        let Some(signed) = self.store.pinned(domain).await? else { return Ok(None) };
        let manifest =
            follow(domain, None, &signed).map_err(|fault| StoreError::Damaged(fault.to_string()))?;
        let domains = |list: &[Domain]| list.iter().map(ToString::to_string).collect();
        Ok(Some(Pinned {
            seq: manifest.seq.0,
            lineage: hex::encode(lineage(&manifest).as_bytes()),
            root: hex::encode(manifest.root.as_bytes()),
            ordering: hex::encode(manifest.ordering.as_bytes()),
            nodes: manifest
                .nodes
                .iter()
                .map(|node| NodeKey {
                    peer_id: peer_id(&node.key).unwrap_or_else(|| "no key".to_owned()),
                    not_before: node.not_before.0,
                    not_after: node.not_after.0,
                })
                .collect(),
            addresses: manifest.addresses.iter().map(ToString::to_string).collect(),
            client_url: manifest.client_url.to_string(),
            holders: manifest.mailbags.as_ref().map(|offer| domains(&offer.holders)).unwrap_or_default(),
            circuits: manifest.circuits.as_ref().map(|list| domains(list)).unwrap_or_default(),
            created: manifest.created.0,
        }))
    }

    async fn evidence(&self, domain: &Domain) -> Result<Vec<Evidence>, StoreError> {
        let hash = |signed: &Signed<_>| hex::encode(sha256(signed.payload_bytes()));
        let found = self.store.manifest_evidence(domain).await?;
        Ok(found
            .iter()
            .map(|evidence| Evidence {
                seq: evidence.pinned.peek().map_or(0, |manifest| manifest.seq.0),
                pinned: hash(&evidence.pinned),
                other: hash(&evidence.other),
                found: evidence.found.0,
                settled: evidence.settled,
            })
            .collect())
    }
}

fn conduct(status: &ConductStatus) -> Conduct {
    let (treatment, until) = match status.treatment {
        Treatment::Normal => ("normal", None),
        Treatment::Slowed(_) => ("slowed", None),
        Treatment::CutOff(until) => ("cut-off", Some(until.0)),
    };
    let broken =
        status.broken.iter().map(|(rule, times)| Broken { rule: rule.name().to_owned(), times: *times });
    Conduct { treatment: treatment.to_owned(), until, points: status.points, broken: broken.collect() }
}

fn own_rule(standing: &Standing) -> Option<OwnRule> {
    standing.rule.map(|(rule, since)| OwnRule { rule: rule.name().to_owned(), since: since.0 })
}
