/** What the embedded S3 endpoint lacks: the list of unfinished uploads, which a run asks for. In one page, as there are few. */

/** The parts of fauxqs's store that know the uploads. */
export interface UploadBook {
  multipartUploads: ReadonlyMap<string, { uploadId: string; bucket: string; key: string; initiated: Date }>;
}

/** The answer to `GET /BUCKET?uploads&prefix=…`; undefined for any other request. */
export function answerListUploads(book: UploadBook, method: string, target: string): string | undefined {
  const url = URL.parse(target, 'http://localhost');
  if (method !== 'GET' || url?.searchParams.has('uploads') !== true) return undefined;
  const bucket = decodeURIComponent(url.pathname.slice(1).replace(/\/$/, ''));
  const prefix = url.searchParams.get('prefix') ?? '';
  const found = [...book.multipartUploads.values()]
    .filter((upload) => upload.bucket === bucket && upload.key.startsWith(prefix))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(
      ({ key, uploadId, initiated }) =>
        `<Upload><Key>${escapeXml(key)}</Key><UploadId>${uploadId}</UploadId><Initiated>${initiated.toISOString()}</Initiated></Upload>`,
    );
  return `<?xml version="1.0" encoding="UTF-8"?><ListMultipartUploadsResult><Bucket>${escapeXml(bucket)}</Bucket><MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated>${found.join('')}</ListMultipartUploadsResult>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}
