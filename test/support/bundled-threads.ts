/** Threads in the process of a test load the bundle of the sources as they are now, which takes half the time of the sources. */
import path from 'node:path';
import { takeEntriesFrom } from '../../src/base/own-files.ts';
import { PROGRAM } from './program.ts';

takeEntriesFrom(path.dirname(PROGRAM));
