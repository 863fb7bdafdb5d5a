import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describePostgresUrlProblem, parsePostgresUrl, TlsFileError, tlsOptions } from '../../../src/postgres/url.ts';

const ENCODE =
  'must be a valid postgres:// URL; special characters in a password are written as %XX, such as %23 for #, %2F for / and %40 for @';

describe('a connection URL that can be used', () => {
  const parts = (url: string) => {
    assert.equal(describePostgresUrlProblem(url), undefined);
    const { host, port, user, password, database, tls } = parsePostgresUrl(url);
    return [host, port, user, password, database, tls];
  };

  test('with all that it may have', () => {
    assert.deepEqual(parts('postgres://u%40x:p%2F%23@db.example.com:5433/my%20db?sslmode=verify-full'), [
      'db.example.com',
      5433,
      'u@x',
      'p/#',
      'my db',
      'verify',
    ]);
  });

  test("in libpq's forms", () => {
    const socket = ['/var/run/postgresql', undefined, 'u', undefined, 'db', undefined];
    assert.deepEqual(parts('postgresql://u@/db?host=/var/run/postgresql'), socket);
    assert.deepEqual(parts('postgres://u@%2Fvar%2Frun%2Fpostgresql/db'), socket);
    assert.deepEqual(parts('postgres:///db?user=u&host=/var/run/postgresql'), socket);
    assert.deepEqual(parts('postgres://u@[::1]:6000/db'), ['::1', 6000, 'u', undefined, 'db', undefined]);
    assert.deepEqual(parts('postgres://h/?dbname=db&user=u&password=p&port=1'), ['h', 1, 'u', 'p', 'db', undefined]);
  });

  test('TLS is verified unless it says otherwise', () => {
    const tls = (query: string) => parsePostgresUrl(`postgres://h/db?${query}`).tls;
    assert.deepEqual(
      ['prefer', 'require', 'verify-ca', 'verify-full'].map((mode) => tls(`sslmode=${mode}`)),
      ['verify', 'verify', 'verify', 'verify'],
    );
    assert.equal(tls('sslmode=no-verify'), 'encrypt');
    assert.equal(tls('sslmode=disable'), 'disable');
    assert.equal(tls('sslmode=require&uselibpqcompat=true'), 'encrypt');
    assert.equal(tls('sslmode=verify-full&uselibpqcompat=true'), 'verify');
    assert.deepEqual(['ssl=true', 'ssl=0', 'ssl=no-verify'].map(tls), ['verify', 'disable', 'encrypt']);
    assert.equal(tls('sslrootcert=/ca.pem'), 'verify');
    assert.deepEqual(tlsOptions(parsePostgresUrl('postgres://h/db?sslmode=require')), { rejectUnauthorized: true });
    assert.equal(tlsOptions(parsePostgresUrl('postgres://h/db')), undefined);
  });

  test('a file for TLS that cannot be read is named', () => {
    assert.throws(
      () => tlsOptions(parsePostgresUrl('postgres://h/db?sslrootcert=/no/ca.pem')),
      new TlsFileError('/no/ca.pem, which the connection URL names for TLS, cannot be read: ENOENT'),
    );
  });
});

describe('a connection URL is refused', () => {
  const CASES: [title: string, url: string, problem: RegExp | string][] = [
    ['of another kind', 'mysql://h/db', 'must be a postgres:// URL'],
    ['with several hosts', 'postgres://u@h1:1,h2:2/db', /must name one host/],
    ['with several hosts as a parameter', 'postgres://u@/db?host=h1,h2', /one host or one folder/],
    [
      'with target_session_attrs',
      'postgres://h/db?target_session_attrs=read-write',
      /target_session_attrs is not supp/,
    ],
    ['with a service', 'postgres:///?service=prod', /service is not supported/],
    ['with a passfile', 'postgres://h/db?passfile=/x', /passfile is not supported/],
    ['with a misspelt parameter', 'postgres://h/db?pasword=geheim', /did you mean "password"\?/],
    ['with a parameter in capitals', 'postgres://h/db?SSLMODE=require', /did you mean "sslmode"\?/],
    ['with a misspelt sslmode', 'postgres://h/db?sslmode=requrie', /sslmode must be disable, prefer/],
    ['with an sslmode in capitals', 'postgres://h/db?sslmode=REQUIRE', /in small letters/],
    ['with a limit that would cut a read short', 'postgres://h/db?query_timeout=1000', /a parameter that is not known/],
    ['with a # in the password', 'postgres://u:12#ss@h/db', ENCODE],
    ['with a / in the password', 'postgres://u:12/ss@h/db', ENCODE],
    ['with a ? in the password', 'postgres://u:12?ss@h/db', ENCODE],
    ['with a / that makes no port', 'postgres://u:pa/ss@h/db', ENCODE],
    ['with a % in the password', 'postgres://u:100%@h/db', /followed by two hex digits/],
    ['with a database of two parts', 'postgres://h/db/more', ENCODE],
  ];

  for (const [title, url, problem] of CASES) {
    test(title, () => {
      const found = describePostgresUrlProblem(url) ?? '';
      if (typeof problem === 'string') assert.equal(found, problem);
      else assert.match(found, problem);
      assert.doesNotMatch(found, /geheim|ss@|12|REQUIRE|requrie/, 'a value may be a part of the password');
      assert.throws(() => parsePostgresUrl(url));
    });
  }
});
