/** What people script: deletes by key in batches, whatever became of the rows meanwhile. `node delete-by-key.ts TABLE ROWS_A_BATCH`. */
import pg from 'pg';

const [table = '', rowsABatch = ''] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env['DATABASE_URL'] });
await client.connect();
try {
  const { rows } = await client.query<{ id: string }>(`SELECT id::text FROM ${table} ORDER BY id`);
  for (let from = 0; from < rows.length; from += Number(rowsABatch)) {
    const ids = rows.slice(from, from + Number(rowsABatch)).map(({ id }) => id);
    await client.query(`DELETE FROM ${table} WHERE id IN (${ids.join(', ')})`);
  }
} finally {
  await client.end();
}
