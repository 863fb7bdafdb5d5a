import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReplicaLag, type Lag } from '../../../src/pace/replica-lag.ts';
import { parsePosition, type Replication, type Sender } from '../../../src/postgres/replicas.ts';

const SENDER: Sender = {
  name: 'db2',
  address: '10.0.0.2',
  slot: null,
  isLogical: false,
  state: 'streaming',
  replayed: 100n,
  replayLagMs: null,
};

function primary(written: bigint, senders: Partial<Sender>[], inactiveSlots: string[] = []): Replication {
  return { kind: 'primary', written, senders: senders.map((sender) => ({ ...SENDER, ...sender })), inactiveSlots };
}

function once(found: Replication, ignored: string[] = []): Lag {
  return new ReplicaLag(ignored).judge(found, 1000);
}

/** After a look at which all had been in step. */
function later(found: Replication, ignored: string[] = []): Lag {
  const lag = new ReplicaLag(ignored);
  lag.judge(primary(100n, [{}]), 999);
  return lag.judge(found, 1000);
}

const known = (ms: number, who = 'replica db2 at 10.0.0.2'): Lag => ({ kind: 'known', ms, who });

describe('how far replicas are behind', () => {
  test('is not at all where no bytes are, whatever the server said last', () => {
    assert.deepEqual(once(primary(100n, [{ replayLagMs: 90_000 }])), known(0));
  });

  test('is what the server says, where bytes are', () => {
    const lag = new ReplicaLag();
    lag.judge(primary(100n, [{}]), 0);
    assert.deepEqual(lag.judge(primary(101n, [{ replayLagMs: 90_000 }]), 10), known(90_000));
  });

  test('grows while the replay stands still, though the server says nothing of it', () => {
    const lag = new ReplicaLag();
    assert.deepEqual(lag.judge(primary(100n, [{}]), 0), known(0));
    assert.deepEqual(lag.judge(primary(100n, [{}]), 60_000), known(0));
    assert.deepEqual(lag.judge(primary(200n, [{}]), 65_000), known(5000));
    assert.deepEqual(lag.judge(primary(200n, [{}]), 95_000), known(35_000));
    assert.deepEqual(lag.judge(primary(300n, [{ replayLagMs: 2 }]), 100_000), known(40_000));
    assert.deepEqual(lag.judge(primary(300n, [{ replayed: 200n }]), 101_000), known(6000));
    assert.deepEqual(lag.judge(primary(300n, [{ replayed: 300n }]), 102_000), known(0));
  });

  test('is small on a server that always writes, where a replica is never quite at the end', () => {
    const lag = new ReplicaLag();
    lag.judge(primary(0n, []), 0);
    for (let second = 0; second < 3600; second += 1) {
      const written = BigInt(second * 1000 + 1000);
      const found = lag.judge(primary(written, [{ replayed: written - 500n, replayLagMs: 3 }]), second * 1000);
      assert.ok(found.kind === 'known' && found.ms <= 1000, JSON.stringify(found));
    }
  });

  test('is known for a day without keeping all of it', () => {
    const lag = new ReplicaLag();
    for (let second = 0; second < 86_400; second += 5)
      lag.judge(primary(BigInt(second + 100), [{ replayed: 100n }]), second * 1000);
    assert.deepEqual(lag.judge(primary(1_000_000n, [{ replayed: 100n }]), 86_400_000), known(86_400_000));
  });

  test('is not known of a replica that was behind from the first look on, until it comes to where the primary was', () => {
    const lag = new ReplicaLag();
    const unknown = (atLeastMs: number): Lag => ({ kind: 'unknown', atLeastMs, who: 'replica db2 at 10.0.0.2' });
    assert.deepEqual(lag.judge(primary(500n, [{ replayed: 10n }]), 5000), unknown(0));
    assert.deepEqual(lag.judge(primary(600n, [{ replayed: 10n, replayLagMs: 2 }]), 9000), unknown(4000));
    assert.deepEqual(lag.judge(primary(700n, [{ replayed: 500n }]), 9500), known(4500));
  });

  test('is that of the worst one', () => {
    const found = primary(200n, [{ replayLagMs: 5 }, { name: 'db3', address: '', replayLagMs: 70 }]);
    assert.deepEqual(later(found), known(70, 'replica db3'));
  });

  test('is of replicas alone: no backup, no pg_receivewal, no logical sender, none that is ignored', () => {
    const others = [
      { state: 'backup', replayLagMs: 90_000 },
      { name: 'pg_receivewal', replayed: null },
      { name: 'sub', isLogical: true, replayLagMs: 90_000 },
      { name: 'delayed_1', replayLagMs: 90_000 },
      { name: 'walreceiver', slot: 'delayed_2', replayLagMs: 90_000 },
    ];
    assert.deepEqual(later(primary(200n, [...others, { replayLagMs: 7 }]), ['delayed_1', 'delayed_2']), known(7));
    assert.deepEqual(once(primary(200n, others), ['delayed_1', 'delayed_2']), { kind: 'none', inactiveSlots: [] });
  });

  test('cannot be seen where one is hidden, unless that is none that counts', () => {
    const hidden = { name: 'db3', state: null, replayed: null };
    const who = 'replica db3 at 10.0.0.2';
    assert.deepEqual(once(primary(200n, [{ replayLagMs: 7 }, hidden])), { kind: 'hidden', who });
    assert.deepEqual(later(primary(200n, [{ replayLagMs: 7 }, hidden]), ['db3']), known(7));
    assert.deepEqual(later(primary(200n, [{ replayLagMs: 7 }, { ...hidden, isLogical: true }])), known(7));
  });

  test('says which slots wait, where there is no replica', () => {
    const found = primary(200n, [], ['db2', 'delayed']);
    assert.deepEqual(once(found, ['delayed']), { kind: 'none', inactiveSlots: ['db2'] });
  });

  test('of a standby is its own', () => {
    assert.deepEqual(once({ kind: 'standby', delayMs: 12 }), known(12, 'the standby that is read'));
    assert.equal(once({ kind: 'standby', delayMs: null }).kind, 'hidden');
  });

  test('is reckoned by positions, beyond 32 bits', () => {
    assert.equal(parsePosition('0/1A2B3C'), 0x1a2b3cn);
    assert.equal(parsePosition('16/B374D848'), 0x16b374d848n);
  });
});
